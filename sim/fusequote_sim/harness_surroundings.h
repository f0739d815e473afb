// What a simulated chip has around it: fuses in a file, and entropy (docs/link.md, section 4).
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

// The end of the process, with one line for fusequote_sim.process to pass on.
[[noreturn]] inline void fail(const char* what, bool with_errno = true) {
    if (with_errno)
        std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
    else
        std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

// The fuse file. A burnt byte goes to the file at once, and to the disk before anything else leaves the chip.
class FuseArray {
    static constexpr size_t kBytes = 384;
    static constexpr off_t kOffset = 32;

public:
    explicit FuseArray(int fd) : fd_(fd) {
        if (pread(fd_, cells_, kBytes, kOffset) != ssize_t(kBytes)) fail("cannot read the fuse file");
    }
    uint8_t read(unsigned addr) const { return addr < kBytes ? cells_[addr] : 0; }
    void burn(unsigned addr, uint8_t bits) {
        if (addr >= kBytes || (cells_[addr] | bits) == cells_[addr]) return;
        cells_[addr] |= bits;
        if (pwrite(fd_, &cells_[addr], 1, kOffset + addr) != 1) fail("cannot write the fuse file");
        dirty_ = true;
    }
    void sync() {
        if (dirty_ && fsync(fd_) != 0) fail("cannot write the fuse file");
        dirty_ = false;
    }

private:
    int fd_;
    uint8_t cells_[kBytes] = {};
    bool dirty_ = false;
};

// E_j = S[0:24] || ((u64(S[24:32]) + j) mod 2^64) for the j-th boot since power-on.
class Entropy {
public:
    explicit Entropy(int fd) {
        char hex[64];
        size_t got = 0;
        while (got < sizeof hex) {
            ssize_t n = ::read(fd, hex + got, sizeof hex - got);
            if (n <= 0) fail("no entropy came", false);
            got += size_t(n);
        }
        close(fd);
        for (size_t i = 0; i < sizeof secret_; i++) {
            char digits[3] = {hex[2 * i], hex[2 * i + 1], 0}, *end;
            secret_[i] = uint8_t(std::strtoul(digits, &end, 16));
            if (end != digits + 2) fail("the entropy is not in hex", false);
        }
    }
    uint8_t peek() const {
        if (taken_ < 24) return secret_[taken_];
        uint64_t tail = 0;
        for (int i = 7; i >= 0; i--) tail = tail << 8 | secret_[24 + i];
        return uint8_t((tail + boot_) >> 8 * (taken_ - 24));
    }
    void take() {
        if (++taken_ == 32) next_boot();
    }
    // A boot that was cut off by a reset has had its bytes: the next one gets others.
    void reset() {
        if (taken_ != 0) next_boot();
    }

private:
    void next_boot() {
        taken_ = 0;
        boot_++;
    }
    uint8_t secret_[32];
    unsigned taken_ = 0;
    uint64_t boot_ = 0;
};
