//go:build unix

package control

import (
	"fmt"
	"os"
	"syscall"
)

// checkPrivate refuses a directory under which somebody else could have put the socket.
func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !ok || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a directory of this user alone", dir)
	}
	return nil
}
