// Package loopback finds addresses on this machine for tests that start a server which cannot be asked where it
// listens.
//
// The invariant to remember: a port is free between the moment it was found and the moment it is used, as far as that
// depends on the system: it is none of those that the system gives away by itself.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// The system gives ports from 32768 on to connections and to whoever listens on port 0 (Linux, net.ipv4.ip_local_port_range);
// those of well-known servers are below 20000.
const first, end = 20_000, 32_000

// FreeAddress is an address such as 127.0.0.1:23456 that nothing listened on a moment ago.
func FreeAddress() (string, error) {
	var last error
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(end-first)))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
		last = err
	}
	return "", last
}
