// The block as a process: clock, byte port, fuse file and entropy around the model that Verilator made.
//
// Started by fusequote_sim.process, which has checked and locked the fuse file and counted the power-on. Everything
// comes in over inherited descriptors, so that no secret is on a command line:
//
//   --fuses FD     the fuse file, open for reading and writing (docs/link.md, section 4)
//   --secret FD    S of docs/link.md section 4, 64 hex digits, read to its end and closed
//   --control FD   a socket: one command a line, one answer a line; its end is the end of this process
//   --bytes FD     a socket: the byte port. Its end is the end of this process, too
//   --listen       instead: the byte port on 127.0.0.1, one client at a time; prints "listening PORT"
//   --pty          instead: the byte port on a pseudo-terminal; prints "pty PATH"
//   --waves FILE   a VCD file, only in a build with FUSEQUOTE_WAVES
//
// Commands: "cycles" -> "cycles N"; "reset" -> "ok"; "waves on|off" -> "ok"; "quit" -> "ok"; else "error WHY".
//
// Time stands still while the block is idle and nothing comes in: the process sleeps in poll().

#include <csignal>
#include <cstdint>
#include <memory>
#include <poll.h>
#include <string>
#include <unistd.h>

#include "Vchip.h"
#include "harness_port.h"
#include "harness_surroundings.h"
#include "verilated.h"
#ifdef FUSEQUOTE_WAVES
#include "verilated_vcd_c.h"
#endif

namespace {

constexpr int kServiceInterval = 4096;  // cycles between two looks at the sockets while the block works
constexpr int kResetCycles = 4;

volatile std::sig_atomic_t stop_signal = 0;

#ifdef FUSEQUOTE_WAVES
class Waves {
public:
    Waves(Vchip& chip, VerilatedContext& context, const char* path) : context_(context) {
        context.traceEverOn(true);
        chip.trace(&vcd_, 99);
        vcd_.open(path);
        if (!vcd_.isOpen()) fail("cannot write the waveform file");
    }
    ~Waves() { vcd_.close(); }
    void dump() {
        if (on) vcd_.dump(context_.time());
    }
    void flush() { vcd_.flush(); }
    bool on = true;

private:
    VerilatedContext& context_;
    VerilatedVcdC vcd_;
};
#endif

class Machine {
public:
    Machine(BytePort& port, int fuses, int secret, const char* waves)
        : chip_(&context_), port_(port), fuses_(fuses), entropy_(secret) {
#ifdef FUSEQUOTE_WAVES
        if (waves) waves_ = std::make_unique<Waves>(chip_, context_, waves);
#else
        if (waves) fail("this build writes no waveforms", false);
#endif
    }
    void reset() {
        chip_.rst = 1;
        for (int i = 0; i < kResetCycles; i++) cycle();
        chip_.rst = 0;
        entropy_.reset();
        quiet_ = false;  // whatever it says in reset, it has to boot
    }
    // One clock cycle. The model has flip-flops before its inputs (fusequote_sim.elaborate), so its outputs are those of
    // the cycle at hand, and its inputs those of the next one. In reset, nothing is offered or taken.
    void cycle() {
        // What the block says in this cycle counts at the edge that ends it.
        if (chip_.tx___05Fvalid && chip_.tx___05Fready) port_.sending.push_back(chip_.tx___05Fpayload);
        if (chip_.rx___05Fvalid && chip_.rx___05Fready) port_.received.pop_front();
        if (chip_.entropy___05Fvalid && chip_.entropy___05Fready) entropy_.take();
        chip_.fuse___05Frdata = fuses_.read(chip_.fuse___05Faddr);
        if (chip_.fuse___05Fpgm && !in_reset_) fuses_.burn(chip_.fuse___05Faddr, chip_.fuse___05Fwdata);

        chip_.rx___05Fvalid = !chip_.rst && !port_.received.empty();
        chip_.rx___05Fpayload = chip_.rx___05Fvalid ? port_.received.front() : 0;
        chip_.tx___05Fready = !chip_.rst && port_.sending.size() < BytePort::kLimit;
        chip_.entropy___05Fvalid = !chip_.rst;
        chip_.entropy___05Fpayload = entropy_.peek();
        in_reset_ = chip_.rst;
        half(1);
        half(0);
        quiet_ = chip_.idle && !chip_.tx___05Fvalid && !chip_.rx___05Fvalid;
        cycles_++;
    }
    // Nothing will happen until a byte comes.
    bool quiet() const { return quiet_; }
    uint64_t cycles() const { return cycles_; }
    void sync() {
        fuses_.sync();
#ifdef FUSEQUOTE_WAVES
        if (waves_) waves_->flush();
#endif
    }
    // False when there is no waveform file to switch.
    bool waves(bool on) {
#ifdef FUSEQUOTE_WAVES
        if (waves_) {
            waves_->on = on;
            return true;
        }
#endif
        (void)on;
        return false;
    }

private:
    void half(bool clk) {
        chip_.clk = clk;
        chip_.eval();
#ifdef FUSEQUOTE_WAVES
        if (waves_) waves_->dump();
        context_.timeInc(1);
#endif
    }
    VerilatedContext context_;
    Vchip chip_;
    BytePort& port_;
    FuseArray fuses_;
    Entropy entropy_;
#ifdef FUSEQUOTE_WAVES
    std::unique_ptr<Waves> waves_;
#endif
    bool in_reset_ = true;
    bool quiet_ = false;
    uint64_t cycles_ = 0;
};

class Control {
public:
    explicit Control(int fd) : fd_(fd) { nonblocking(fd_); }
    pollfd interest() const { return {fd_, POLLIN, 0}; }
    // Runs what has come in. False when it is time to end.
    bool service(Machine& machine) {
        char chunk[256];
        ssize_t n;
        while ((n = ::read(fd_, chunk, sizeof chunk)) > 0) line_.append(chunk, size_t(n));
        if (n == 0 || !would_block() || line_.size() > 4096) return false;
        size_t end;
        while ((end = line_.find('\n')) != std::string::npos) {
            const std::string command = line_.substr(0, end);
            line_.erase(0, end + 1);
            if (!answer(command == "quit" ? "ok" : run(machine, command)) || command == "quit") return false;
        }
        return true;
    }

private:
    static std::string run(Machine& machine, const std::string& command) {
        if (command == "cycles") return "cycles " + std::to_string(machine.cycles());
        if (command == "reset") {
            machine.reset();
            return "ok";
        }
        if (command == "waves on" || command == "waves off")
            return machine.waves(command == "waves on") ? "ok" : "error no waveform file was asked for";
        return "error unknown command";
    }
    bool answer(std::string text) {
        text += '\n';
        return ::write(fd_, text.data(), text.size()) == ssize_t(text.size());
    }
    int fd_;
    std::string line_;
};

int run(Machine& machine, BytePort& port, Control& control) {
    machine.reset();
    int until_service = 0;
    while (!stop_signal) {
        const bool stuck = port.sending.size() >= BytePort::kLimit;
        if (machine.quiet() || stuck || --until_service <= 0) {
            machine.sync();
            if (!port.service() || !control.service(machine)) return 0;
            until_service = kServiceInterval;
            if (port.received.empty() ? machine.quiet() : stuck && port.sending.size() >= BytePort::kLimit) {
                pollfd fds[2] = {port.interest(), control.interest()};
                if (poll(fds, 2, -1) < 0 && errno != EINTR) fail("poll");
                continue;
            }
        }
        machine.cycle();
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    int fuses = -1, secret = -1, control = -1, bytes = -1;
    BytePort::Kind kind = BytePort::Kind::Socket;
    const char* waves = nullptr;
    for (int i = 1; i < argc; i++) {
        const std::string name = argv[i];
        if (name == "--listen") kind = BytePort::Kind::Listen;
        else if (name == "--pty") kind = BytePort::Kind::Pty;
        else if (i + 1 == argc) fail("an option lacks its value", false);
        else if (name == "--fuses") fuses = std::atoi(argv[++i]);
        else if (name == "--secret") secret = std::atoi(argv[++i]);
        else if (name == "--control") control = std::atoi(argv[++i]);
        else if (name == "--bytes") bytes = std::atoi(argv[++i]);
        else if (name == "--waves") waves = argv[++i];
        else fail("unknown option", false);
    }
    if (fuses < 0 || secret < 0 || control < 0 || (kind == BytePort::Kind::Socket && bytes < 0))
        fail("started without its descriptors: use sim:// or python -m fusequote_sim", false);

    std::signal(SIGPIPE, SIG_IGN);
    struct sigaction action = {};
    action.sa_handler = [](int) { stop_signal = 1; };
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);

    BytePort port(kind, bytes);
    Machine machine(port, fuses, secret, waves);
    Control controller(control);
    return run(machine, port, controller);
}
