package rig

import "syscall"

// dieWithParent makes the kernel kill the child when this process is gone, whatever ended it.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
