// harness.cpp, around a model that counts: writes Verilator's coverage, and where the program was, when it ends.
//
// FUSEQUOTE_COVERAGE in the environment names a folder; PID.dat, PID.pc and PID.states are written there.
// PID.pc has a line "STATE PC" for each pair of the sequencer's state and program address that came up; PID.states a
// line "MACHINE STATE" for each state of the other state machines.
//
// FUSEQUOTE_NOISE in the environment is what is wrong with the noise source: "fails" (its health tests, at once and for
// good) or "stalls" (no byte comes for a little longer than the watchdog waits). Without it, nothing is.

#include <bitset>
#include <cstdlib>
#include <fstream>
#include <string>
#include <unistd.h>

#include "Vchip.h"
#include "Vchip___024root.h"
#include "harness_port.h"
#include "harness_surroundings.h"
#include "verilated.h"
#include "verilated_cov.h"

class CountingChip : public Vchip {
public:
    using Vchip::Vchip;
    void eval() {
        if (fails_) entropy_failed = 1;
        if (stalled_) entropy___05Fvalid = 0;
        Vchip::eval();
        if (clk) return;
        if (stalled_) stalled_--;
        const unsigned state = rootp->chip__DOT__chip__DOT__sequencer__DOT__state_state;
        framer_.set(rootp->chip__DOT__chip__DOT__framer__DOT__fsm_state & 3);
        seen_.set((state & 15) << 12 | (rootp->chip__DOT__chip__DOT__sequencer__DOT__pc & 4095));
    }
    // The counters are the model's: they have to be written before it goes.
    ~CountingChip() {
        const char* folder = std::getenv("FUSEQUOTE_COVERAGE");
        if (!folder) return;
        const std::string stem = std::string(folder) + "/" + std::to_string(::getpid());
        contextp()->coveragep()->write(stem + ".dat");
        std::ofstream out(stem + ".pc");
        for (unsigned i = 0; i < seen_.size(); i++)
            if (seen_[i]) out << (i >> 12) << ' ' << (i & 4095) << '\n';
        std::ofstream states(stem + ".states");
        for (unsigned i = 0; i < framer_.size(); i++)
            if (framer_[i]) states << "framer " << i << '\n';
    }

private:
    static bool noise(const char* what) {
        const char* value = std::getenv("FUSEQUOTE_NOISE");
        return value && std::string(value) == what;
    }
    // WATCHDOG_BITS of the block is 23.
    static constexpr unsigned kStall = (1u << 23) + 4096;
    const bool fails_ = noise("fails");
    unsigned stalled_ = noise("stalls") ? kStall : 0;
    std::bitset<16 * 4096> seen_;
    std::bitset<4> framer_;
};

#define Vchip CountingChip
#include "harness.cpp"
