// A placed design as a process: its clock, a serial line at its pins, and noise for its ring oscillators.
//
// Started by fusequote_boards.postroute.process. Everything comes in over inherited descriptors:
//
//   --contents FD  what the chip's own bitstream adds to the design, read to its end and closed: the tables of the root
//                  keys (32 bytes), then the fuses' block RAM (as many bytes as it has, lowest bits first)
//   --secret FD    seed of the noise, 64 hex digits, read to its end and closed
//   --control FD   a socket: one command a line, one answer a line; its end is the end of this process
//   --bytes FD     a socket: the host's end of the serial line. Its end is the end of this process, too
//   --pty          instead: on a pseudo-terminal; prints "pty PATH"
//   --hz N, --baud N, --host-baud N   the clock, and bits a second of the chip and of the host
//   --silence N    cycles without a bit on either line after which time stands still until a byte comes
//
// Commands: "cycles" -> "cycles N"; "break on|off" -> "ok": the host holds the line low; "quit" -> "ok"; else "error WHY".

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <poll.h>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

#include "Vchip.h"
#include "serial_line.h"
#include "verilated.h"

namespace {

constexpr int kServiceInterval = 4096;  // cycles between two looks at the sockets
constexpr int kConfigureCycles = 4;

volatile std::sig_atomic_t stop_signal = 0;

std::string read_all(int fd) {
    std::string text;
    char chunk[4096];
    ssize_t n;
    while ((n = ::read(fd, chunk, sizeof chunk)) > 0) text.append(chunk, size_t(n));
    if (n < 0) fail("cannot read what was inherited");
    close(fd);
    return text;
}

// A bit for each ring oscillator in each cycle, from a seed.
class Noise {
public:
    explicit Noise(const std::string& seed) {
        std::seed_seq words(seed.begin(), seed.end());
        generator_.seed(words);
    }
    uint32_t next() { return generator_(); }

private:
    std::mt19937 generator_;
};

class Machine {
public:
    Machine(Vchip& chip, SerialLine& line, const std::string& contents, const std::string& seed)
        : chip_(chip), line_(line), noise_(seed) {
        load(contents);
        chip_.configure = 1;
        for (int i = 0; i < kConfigureCycles; i++) cycle();
        chip_.configure = 0;
    }
    void cycle() {
        chip_.FUSEQUOTE_RX = line_.drive(cycles_);
        chip_.noise = noise_.next() & FUSEQUOTE_NOISE_MASK;
        chip_.clk = 1;
        chip_.eval();
        chip_.clk = 0;
        chip_.eval();
        line_.listen(cycles_, chip_.FUSEQUOTE_TX);
        cycles_++;
    }
    uint64_t cycles() const { return cycles_; }

private:
    // Bytes into a wide port, or one of 32 or 64 bits, lowest first.
    template <typename Port>
    static void fill(Port& port, const std::string& bytes, size_t from, size_t size) {
        auto* words = port.data();
        for (size_t i = 0; i < size / 4; i++) words[i] = 0;
        for (size_t i = 0; i < size; i++) words[i / 4] |= EData(uint8_t(bytes[from + i])) << 8 * (i % 4);
    }
    void load(const std::string& contents) {
        if (contents.size() != 32 + FUSEQUOTE_RAM_BYTES) fail("the contents of the fuses have a wrong size", false);
        fill(chip_.fuse_tables, contents, 0, 32);
        fill(chip_.fuse_ram, contents, 32, FUSEQUOTE_RAM_BYTES);
    }
    Vchip& chip_;
    SerialLine& line_;
    Noise noise_;
    uint64_t cycles_ = 0;
};

class Control {
public:
    explicit Control(int fd) : fd_(fd) { nonblocking(fd_); }
    pollfd interest() const { return {fd_, POLLIN, 0}; }
    // Runs what has come in. False when it is time to end.
    bool service(const Machine& machine, SerialLine& line) {
        char chunk[256];
        ssize_t n;
        while ((n = ::read(fd_, chunk, sizeof chunk)) > 0) text_.append(chunk, size_t(n));
        if (n == 0 || !would_block() || text_.size() > 4096) return false;
        size_t end;
        while ((end = text_.find('\n')) != std::string::npos) {
            const std::string command = text_.substr(0, end);
            text_.erase(0, end + 1);
            std::string answer = "error unknown command";
            if (command == "cycles") answer = "cycles " + std::to_string(machine.cycles());
            if (command == "quit") answer = "ok";
            if (command == "break on" || command == "break off") {
                line.hold(command == "break on");
                answer = "ok";
            }
            answer += '\n';
            if (::write(fd_, answer.data(), answer.size()) != ssize_t(answer.size()) || command == "quit") return false;
        }
        return true;
    }

private:
    int fd_;
    std::string text_;
};

int run(Machine& machine, BytePort& port, SerialLine& line, Control& control, uint64_t silence) {
    int until_service = 0;
    while (!stop_signal) {
        if (--until_service <= 0) {
            until_service = kServiceInterval;
            if (!port.service() || !control.service(machine, line)) return 0;
            if (port.full() || line.silent_since(machine.cycles()) > silence) {
                pollfd fds[2] = {port.interest(), control.interest()};
                if (poll(fds, 2, -1) < 0 && errno != EINTR) fail("poll");
                until_service = 0;
                if (port.full() || port.received.empty()) continue;
            }
        }
        machine.cycle();
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    int contents = -1, secret = -1, control = -1, bytes = -1;
    uint64_t hz = 0, baud = 0, host_baud = 0, silence = 0;
    bool pty = false;
    for (int i = 1; i < argc; i++) {
        const std::string name = argv[i];
        if (name == "--pty") pty = true;
        else if (i + 1 == argc) fail("an option lacks its value", false);
        else if (name == "--contents") contents = std::atoi(argv[++i]);
        else if (name == "--secret") secret = std::atoi(argv[++i]);
        else if (name == "--control") control = std::atoi(argv[++i]);
        else if (name == "--bytes") bytes = std::atoi(argv[++i]);
        else if (name == "--hz") hz = std::strtoull(argv[++i], nullptr, 10);
        else if (name == "--baud") baud = std::strtoull(argv[++i], nullptr, 10);
        else if (name == "--host-baud") host_baud = std::strtoull(argv[++i], nullptr, 10);
        else if (name == "--silence") silence = std::strtoull(argv[++i], nullptr, 10);
        else fail("unknown option", false);
    }
    if (contents < 0 || secret < 0 || control < 0 || (!pty && bytes < 0) || !hz || !baud || !host_baud || !silence)
        fail("started without its descriptors: use postroute:// or python -m fusequote_boards.postroute", false);

    std::signal(SIGPIPE, SIG_IGN);
    struct sigaction action = {};
    action.sa_handler = [](int) { stop_signal = 1; };
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);

    VerilatedContext context;
    Vchip chip(&context);
    BytePort port(pty, bytes);
    SerialLine line(port, hz, baud, host_baud);
    Machine machine(chip, line, read_all(contents), read_all(secret));
    Control controller(control);
    return run(machine, port, line, controller, silence);
}
