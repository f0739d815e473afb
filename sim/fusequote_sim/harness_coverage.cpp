// harness.cpp, around a model that counts: writes Verilator's coverage, and where the program was, when it ends.
//
// FUSEQUOTE_COVERAGE in the environment names a folder; PID.dat and PID.pc are written there.
// PID.pc has a line "STATE PC" for each pair of the sequencer's state and program address that came up.

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
        Vchip::eval();
        if (clk) return;
        const unsigned state = rootp->chip__DOT__chip__DOT__sequencer__DOT__state_state;
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
    }

private:
    std::bitset<16 * 4096> seen_;
};

#define Vchip CountingChip
#include "harness.cpp"
