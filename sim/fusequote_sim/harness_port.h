// The byte port: an inherited socket, a TCP listener or a pseudo-terminal.
#pragma once

#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>
#include <vector>

#include "harness_surroundings.h"

inline void nonblocking(int fd) {
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) fail("fcntl");
}

inline bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

// Bytes to and from the client, whatever it is connected by.
class BytePort {
public:
    // Bytes held at most, either way.
    static constexpr size_t kLimit = 1 << 16;

    enum class Kind { Socket, Listen, Pty };

    BytePort(Kind kind, int fd) : kind_(kind), fd_(fd) {
        if (kind == Kind::Listen) {
            open_listener();
        } else if (kind == Kind::Pty) {
            open_pty();
        }
        if (fd_ >= 0) nonblocking(fd_);
    }
    // What poll() should look at.
    pollfd interest() const {
        if (fd_ < 0) return {listener_, POLLIN, 0};
        short events = 0;
        if (received.size() < kLimit) events |= POLLIN;
        if (!sending.empty()) events |= POLLOUT;
        return {fd_, events, 0};
    }
    // Moves what can be moved. False when the other end is gone for good.
    bool service() {
        if (fd_ < 0 && (fd_ = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
            sending.clear();  // nobody there to hear it
            return true;
        }
        bool open = true;
        while (open && received.size() < kLimit) {
            uint8_t chunk[4096];
            ssize_t n = ::read(fd_, chunk, sizeof chunk);
            if (n > 0) received.insert(received.end(), chunk, chunk + n);
            else if (n < 0 && would_block()) break;
            else open = false;
        }
        while (open && !sending.empty()) {
            ssize_t n = ::write(fd_, sending.data(), sending.size());
            if (n > 0) sending.erase(sending.begin(), sending.begin() + n);
            else if (n < 0 && would_block()) break;
            else open = false;
        }
        if (open) return true;
        if (kind_ != Kind::Listen) return false;
        close(fd_);  // the chip stays on and waits for the next client
        fd_ = -1;
        received.clear();
        sending.clear();
        return true;
    }

    std::deque<uint8_t> received;
    std::vector<uint8_t> sending;

private:
    void open_listener() {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        sockaddr_in address = {};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
            listen(listener_, 1) != 0 || getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
            fail("cannot listen");
        std::printf("listening %d\n", ntohs(address.sin_port));
        std::fflush(stdout);
    }
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
    Kind kind_;
    int fd_;
    int listener_ = -1;
};
