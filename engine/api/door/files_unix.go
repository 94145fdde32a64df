//go:build unix

package door

import "syscall"

// affordable is how many of the wanted connections the process may have when half of its files are left to the log:
// without files it cannot store what it is sent.
func affordable(wanted int) int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return wanted
	}
	return max(16, min(wanted, int(min(files.Cur, 1<<30)/2)))
}
