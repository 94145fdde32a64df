//go:build !linux

package rig

import "syscall"

// dieWithParent has no counterpart here: a killed test may leave its servers behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
