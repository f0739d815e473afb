// The P-256 signing engine as a filter, around the model that Verilator made of fusequote_hdl.engines.p256.
//
// Standard input: for each signature 96 bytes, private key, nonce and hash, big-endian. Standard output, for each: a
// byte, 0 signed, 1 failed; r and s, 64 bytes big-endian (zeros when it failed); the cycles from the last byte of the
// hash to `done`, 8 bytes little-endian. Secrets come over a pipe, and are on no command line. It ends with its input.

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "Vchip.h"
#include "verilated.h"

namespace {

constexpr int kSize = 32;
constexpr uint64_t kLimit = 1 << 23;  // cycles: an engine that takes longer does not work
constexpr int kResetCycles = 4;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

class Machine {
public:
    Machine() : chip_(&context_) {
        chip_.rst = 1;
        for (int i = 0; i < kResetCycles; i++) cycle();
        chip_.rst = 0;
        until([this] { return bool(chip_.idle); });
    }
    void sign(const std::array<uint8_t, 3 * kSize>& numbers, std::array<uint8_t, 1 + 2 * kSize + 8>& answer) {
        answer.fill(0);
        for (int i = 0; i < 3 * kSize; i++) {
            // Flip-flops lie before the inputs (fusequote_sim.elaborate): offered now, there in the next cycle.
            offer(i / kSize, true, numbers[i]);
            until([this, i] { return taken(i / kSize); });
            offer(i / kSize, false, 0);
            if (i + 1 < 3 * kSize) cycle();  // the cycle after the one in which it was taken
        }
        const uint64_t began = cycles_;
        until([this] { return bool(chip_.done); });
        const uint64_t took = cycles_ - began;
        answer[0] = chip_.failed;
        chip_.result___05Fready = 1;
        for (int i = 0; i < 2 * kSize && !answer[0]; i++) {
            until([this] { return chip_.result___05Fvalid && chip_.result___05Fready; });
            answer[1 + i] = chip_.result___05Fpayload;
        }
        until([this] { return bool(chip_.idle); });
        chip_.result___05Fready = 0;
        for (int i = 0; i < 8; i++) answer[1 + 2 * kSize + i] = uint8_t(took >> 8 * i);
    }

private:
    // Goes on by at least a cycle, to one in which it is so.
    template <typename Condition> void until(Condition condition) {
        for (uint64_t i = 0; i < kLimit; i++) {
            cycle();
            if (condition()) return;
        }
        fail("the engine does not go on");
    }
    void offer(int port, bool valid, uint8_t byte) {
        if (port == 0) {
            chip_.key___05Fvalid = valid;
            chip_.key___05Fpayload = byte;
        } else if (port == 1) {
            chip_.nonce___05Fvalid = valid;
            chip_.nonce___05Fpayload = byte;
        } else {
            chip_.load___05Fvalid = valid;
            chip_.load___05Fpayload = byte;
        }
    }
    bool taken(int port) const {
        if (port == 0) return chip_.key___05Fvalid && chip_.key___05Fready;
        if (port == 1) return chip_.nonce___05Fvalid && chip_.nonce___05Fready;
        return chip_.load___05Fvalid && chip_.load___05Fready;
    }
    void cycle() {
        chip_.clk = 1;
        chip_.eval();
        chip_.clk = 0;
        chip_.eval();
        cycles_++;
    }
    VerilatedContext context_;
    Vchip chip_;
    uint64_t cycles_ = 0;
};

}  // namespace

int main() {
    Machine machine;
    std::array<uint8_t, 3 * kSize> numbers;
    std::array<uint8_t, 1 + 2 * kSize + 8> answer;
    size_t got;
    while ((got = std::fread(numbers.data(), 1, numbers.size(), stdin)) == numbers.size()) {
        machine.sign(numbers, answer);
        if (std::fwrite(answer.data(), 1, answer.size(), stdout) != answer.size() || std::fflush(stdout) != 0)
            fail("cannot write the signature");
    }
    if (got != 0) fail("a signature takes 96 bytes: key, nonce and hash");
    return 0;
}
