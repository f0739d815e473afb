// A chip that is nothing but pins (clk, rst, rx, tx), as a process: a UART, bit by bit, at the other end of its line.
//
// Started by fusequote_sim.uart. Time goes on only while a command runs, so what the host's program takes to think costs
// no cycle: the counts are those of a host that answers at once, and the same in every run.
//
//   --port FD      a socket: commands and answers, below. Its end is the end of this process
//   --divisor N    clock cycles per bit
//
// Commands, integers little-endian:
//   'W' u32 n, n bytes     they wait to be sent, 8N1, one behind the other         answers u64 now
//   'R' u64 most           run until a byte has come (the end of its stop bit)     answers u64 now, u8 count, count bytes
//                          or `most` cycles have passed
//   'B' u32 bits           the line is low for so many bit times (a break)         answers u64 now
//   'P'                    power off and on: everything but the line begins anew   answers u64 now
// `now` counts clock cycles since power-on; the first start bit of what is written to an idle line begins in cycle `now`.

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include "Vchip.h"
#include "verilated.h"

namespace {

constexpr int kResetCycles = 4;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

// The host's transmitter: a level for each cycle.
class Sender {
public:
    explicit Sender(unsigned divisor) : divisor_(divisor) {}
    void queue(const std::vector<uint8_t>& data) { waiting_.insert(waiting_.end(), data.begin(), data.end()); }
    // Damages what is being sent, as a break on a real line does.
    void hold_low(uint64_t cycles) { low_ = cycles; }
    bool level() {
        if (low_ != 0) {
            low_--;
            bits_ = 0;
            return low_ == 0;  // and one bit of rest before the next byte, below
        }
        if (bits_ == 0) {
            if (waiting_.empty()) return true;
            frame_ = unsigned(waiting_.front()) << 1 | 1u << 9;  // start bit 0, eight bits, stop bit 1
            waiting_.pop_front();
            bits_ = 10;
            timer_ = divisor_;
        }
        const bool level = frame_ & 1;
        if (--timer_ == 0) {
            timer_ = divisor_;
            frame_ >>= 1;
            bits_--;
        }
        return level;
    }

private:
    const unsigned divisor_;
    std::deque<uint8_t> waiting_;
    unsigned frame_ = 0, bits_ = 0, timer_ = 0;
    uint64_t low_ = 0;
};

// The host's receiver: each bit sampled once, in its middle; a byte is there when its stop bit has ended.
class Receiver {
public:
    explicit Receiver(unsigned divisor) : divisor_(divisor) {}
    // True when `byte` has come whole.
    bool take(bool level) {
        bool done = false;
        if (busy_ && ++count_ == 10 * divisor_) {
            busy_ = false;
            done = good_;
        }
        if (!busy_ && !level) {
            busy_ = good_ = true;
            count_ = 0;
        }
        if (busy_ && count_ % divisor_ == divisor_ / 2) {
            const unsigned bit = count_ / divisor_;
            if (bit >= 1 && bit <= 8) shift_ = uint8_t(shift_ >> 1 | level << 7);
            if ((bit == 0 && level) || (bit == 9 && !level)) good_ = false;
            if (bit == 8) byte = shift_;
        }
        return done;
    }
    uint8_t byte = 0;

private:
    const unsigned divisor_;
    unsigned count_ = 0;
    uint8_t shift_ = 0;
    bool busy_ = false, good_ = false;
};

class Machine {
public:
    explicit Machine(unsigned divisor) : divisor_(divisor), sender_(divisor), receiver_(divisor) { power(); }
    // A model of its own for each power-on: memories and flip-flops as the bitstream has them.
    void power() {
        chip_ = std::make_unique<Vchip>(&context_);
        chip_->rst = 1;
        chip_->rx = 1;
        for (int i = 0; i < kResetCycles; i++) tick();
        chip_->rst = 0;
        now_ = 0;
    }
    void send(const std::vector<uint8_t>& data) { sender_.queue(data); }
    void hold_low(uint64_t bits) { sender_.hold_low(bits * divisor_); }
    // One cycle. True when a byte has come.
    bool cycle() {
        chip_->rx = sender_.level();
        tick();
        now_++;
        return receiver_.take(chip_->tx);
    }
    uint8_t byte() const { return receiver_.byte; }
    uint64_t now() const { return now_; }

private:
    void tick() {
        chip_->clk = 1;
        chip_->eval();
        chip_->clk = 0;
        chip_->eval();
    }
    const unsigned divisor_;
    VerilatedContext context_;
    std::unique_ptr<Vchip> chip_;
    Sender sender_;
    Receiver receiver_;
    uint64_t now_ = 0;
};

// The commands' socket.
class Port {
public:
    explicit Port(int fd) : fd_(fd) {}
    // False at the end.
    bool get(void* data, size_t size) {
        auto* at = static_cast<uint8_t*>(data);
        while (size != 0) {
            const ssize_t n = ::read(fd_, at, size);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return false;
            at += n;
            size -= size_t(n);
        }
        return true;
    }
    bool put(const std::string& data) {
        size_t at = 0;
        while (at < data.size()) {
            const ssize_t n = ::write(fd_, data.data() + at, data.size() - at);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return false;
            at += size_t(n);
        }
        return true;
    }
    bool put_now(const Machine& machine, const std::string& more = "") {
        std::string text;
        for (int i = 0; i < 8; i++) text += char(machine.now() >> 8 * i);
        return put(text + more);
    }

private:
    int fd_;
};

// Runs one command. False when it is time to end.
bool serve(Machine& machine, Port& port) {
    char command;
    if (!port.get(&command, 1)) return false;
    if (command == 'W') {
        uint32_t size;
        if (!port.get(&size, sizeof size) || size > 1u << 20) return false;
        std::vector<uint8_t> data(size);
        if (!port.get(data.data(), size)) return false;
        machine.send(data);
        return port.put_now(machine);
    }
    if (command == 'R') {
        uint64_t most;
        if (!port.get(&most, sizeof most)) return false;
        bool came = false;
        while (!came && most-- != 0) came = machine.cycle();
        std::string bytes(1, char(came));
        if (came) bytes += char(machine.byte());
        return port.put_now(machine, bytes);
    }
    if (command == 'B') {
        uint32_t bits;
        if (!port.get(&bits, sizeof bits)) return false;
        machine.hold_low(bits);
        return port.put_now(machine);
    }
    if (command == 'P') {
        machine.power();
        return port.put_now(machine);
    }
    fail("unknown command");
}

}  // namespace

int main(int argc, char** argv) {
    int port = -1, divisor = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i];
        if (name == "--port") port = std::atoi(argv[i + 1]);
        else if (name == "--divisor") divisor = std::atoi(argv[i + 1]);
        else fail("unknown option");
    }
    if (port < 0 || divisor < 4) fail("started without its descriptor: use uart://");
    Machine machine{unsigned(divisor)};
    Port commands(port);
    while (serve(machine, commands)) {
    }
    return 0;
}
