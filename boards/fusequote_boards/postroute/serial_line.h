// A host's serial adapter: bytes on one side, the levels of two wires on the other, cycle by cycle. 8N1.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>
#include <vector>

// The end of the process, with one line for fusequote_boards.postroute.process to pass on.
[[noreturn]] inline void fail(const char* what, bool with_errno = true) {
    if (with_errno) std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
    else std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

inline void nonblocking(int fd) {
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) fail("fcntl");
}

inline bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

// Bytes to and from the client: an inherited socket, or a pseudo-terminal.
class BytePort {
public:
    // Bytes held at most, either way.
    static constexpr size_t kLimit = 1 << 16;

    BytePort(bool pty, int fd) : fd_(fd) {
        if (pty) open_pty();
        nonblocking(fd_);
    }
    bool full() const { return sending.size() >= kLimit; }
    // What poll() should look at.
    pollfd interest() const {
        short events = 0;
        if (received.size() < kLimit) events |= POLLIN;
        if (!sending.empty()) events |= POLLOUT;
        return {fd_, events, 0};
    }
    // Moves what can be moved. False when the other end is gone.
    bool service() {
        while (received.size() < kLimit) {
            uint8_t chunk[4096];
            ssize_t n = ::read(fd_, chunk, sizeof chunk);
            if (n > 0) received.insert(received.end(), chunk, chunk + n);
            else if (n < 0 && would_block()) break;
            else return false;
        }
        while (!sending.empty()) {
            ssize_t n = ::write(fd_, sending.data(), sending.size());
            if (n > 0) sending.erase(sending.begin(), sending.begin() + n);
            else if (n < 0 && would_block()) break;
            else return false;
        }
        return true;
    }

    std::deque<uint8_t> received;
    std::vector<uint8_t> sending;

private:
    void open_pty() {
        fd_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (fd_ < 0 || grantpt(fd_) != 0 || unlockpt(fd_) != 0) fail("cannot open a pseudo-terminal");
        const char* name = ptsname(fd_);
        // Held open here, too, so that a client may come and go without a hang-up.
        int client_end = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        termios settings;
        if (client_end < 0 || tcgetattr(client_end, &settings) != 0) fail("cannot open a pseudo-terminal");
        cfmakeraw(&settings);
        if (tcsetattr(client_end, TCSANOW, &settings) != 0) fail("cannot set up a pseudo-terminal");
        std::printf("pty %s\n", name);
        std::fflush(stdout);
    }
    int fd_;
};

// Bits on the chip's pins. The host sends at a rate of its own, and samples the chip's bits in their middle.
class SerialLine {
public:
    SerialLine(BytePort& port, uint64_t hz, uint64_t baud, uint64_t host_baud)
        : port_(port), hz_(hz), baud_(baud), host_baud_(host_baud) {}

    // The level of the chip's input in this cycle.
    bool drive(uint64_t now) {
        if (!sending_) {
            if (port_.received.empty()) {
                if (held_) last_ = now;
                return !held_;
            }
            // A start bit, eight bits and a stop bit, lowest first.
            frame_ = 0x200u | uint32_t(port_.received.front()) << 1;
            port_.received.pop_front();
            sending_ = true;
            // Bytes without a pause between them follow each other at the exact rate.
            began_ = now == ended_cycle_ ? began_ + 10 * hz_ : now * host_baud_;
        }
        last_ = now;
        const uint64_t bit = (now * host_baud_ - began_) / hz_;
        if ((now + 1) * host_baud_ - began_ >= 10 * hz_) {
            sending_ = false;
            ended_cycle_ = now + 1;
        }
        return frame_ >> bit & 1;
    }
    // The level of the chip's output in this cycle.
    void listen(uint64_t now, bool level) {
        if (!receiving_) {
            if (level || now < kSettled) return;
            receiving_ = true;
            start_ = now;
            sampled_ = 0;
            byte_ = 0;
        }
        last_ = now;
        // In the middle of bit number sampled_.
        if (2 * (now - start_) * baud_ < (2 * sampled_ + 1) * hz_) return;
        if (sampled_ == 0 && level) fail("a start bit of the chip is too short", false);
        if (sampled_ == 9 && !level) fail("a byte of the chip has no stop bit", false);
        if (sampled_ > 0 && sampled_ < 9) byte_ |= uint8_t(level) << (sampled_ - 1);
        if (sampled_ == 9) {
            port_.sending.push_back(byte_);
            receiving_ = false;
        }
        sampled_++;
    }
    // A break: the line is low when nothing is being sent.
    void hold(bool low) { held_ = low; }
    // Cycles since the last bit on either wire.
    uint64_t silent_since(uint64_t now) const { return now - last_; }

private:
    // A pin may be low until its flip-flop is out of reset.
    static constexpr uint64_t kSettled = 2000;
    BytePort& port_;
    const uint64_t hz_, baud_, host_baud_;
    bool sending_ = false, receiving_ = false, held_ = false;
    uint32_t frame_ = 0;
    uint8_t byte_ = 0;
    unsigned sampled_ = 0;
    uint64_t began_ = 0, ended_cycle_ = ~uint64_t(0), start_ = 0, last_ = 0;
};
