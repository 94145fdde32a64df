package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command is a program to run.
type Command struct {
	Path string
	Args []string
	// Env is added to the environment.
	Env []string
	Dir string
	// Stdout gets what the program prints, as it does; nil leaves it to Exit.Stdout.
	Stdout io.Writer
}

// Process is a program that runs or ran.
type Process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	started        time.Time
	done           chan struct{}
	exit           Exit
}

// Exit is what a process left behind.
type Exit struct {
	// Code is the exit status; -1 when a signal ended the process.
	Code int
	// Killed is set when SIGKILL ended the process, so that it was running until then.
	Killed         bool
	CPU            time.Duration // user and system
	Elapsed        time.Duration
	PeakRSS        int64 // bytes
	Stdout, Stderr string
}

// output is a buffer that may be read while the process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Start runs the command. The caller calls Wait or Kill.
func (c Command) Start() (*Process, error) {
	p := &Process{cmd: exec.Command(c.Path, c.Args...), started: time.Now(), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = c.Dir, append(os.Environ(), c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if c.Stdout != nil {
		p.cmd.Stdout = c.Stdout
	}
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	go p.watch()
	return p, nil
}

// watch samples the peak RSS until the process ends. It is not taken from the resource usage of
// the child, because there Linux counts the memory of the parent at the fork.
func (p *Process) watch() {
	defer close(p.done)
	ended := make(chan struct{})
	peak := make(chan int64)
	go func() {
		var last int64
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			last = max(last, highWater(p.cmd.Process.Pid))
			select {
			case <-tick.C:
			case <-ended:
				peak <- last
				return
			}
		}
	}()
	err := p.cmd.Wait()
	elapsed := time.Since(p.started)
	close(ended)
	p.exit = Exit{Elapsed: elapsed, PeakRSS: <-peak, Stdout: p.stdout.String(), Stderr: p.stderr.String()}
	state := p.cmd.ProcessState
	if state == nil {
		p.exit.Code, p.exit.Stderr = -1, p.exit.Stderr+err.Error()
		return
	}
	p.exit.Code = state.ExitCode()
	p.exit.CPU = state.UserTime() + state.SystemTime()
	if status, ok := state.Sys().(syscall.WaitStatus); ok {
		p.exit.Killed = status.Signaled() && status.Signal() == syscall.SIGKILL
	}
}

// highWater is VmHWM of a running process in bytes; 0 where there is no /proc.
func highWater(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(line, "kB")), 10, 64)
	return kib << 10
}

// CPU is what the process has used so far, in user and system; 0 where there is no /proc.
func (p *Process) CPU() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// Behind the name, which may have anything in it, utime and stime are the fields 14 and 15 of proc(5).
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// PeakRSS is the largest resident memory so far, in bytes; 0 where there is no /proc.
func (p *Process) PeakRSS() int64 { return highWater(p.cmd.Process.Pid) }

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Stderr is what the process has written to standard error so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// Kill ends the process with SIGKILL, unless it ended before, and waits.
func (p *Process) Kill() Exit {
	_ = p.cmd.Process.Kill() // the error says that it has ended
	<-p.done
	return p.exit
}

// Terminate sends SIGTERM.
func (p *Process) Terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// Stop makes the process stand still until Continue, as a machine does that was suspended.
func (p *Process) Stop() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue ends a Stop.
func (p *Process) Continue() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// Wait waits for the end. When ctx is done first the process is killed and the error says so.
func (p *Process) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-p.done:
		return p.exit, nil
	case <-ctx.Done():
		p.cmd.Process.Signal(syscall.SIGQUIT) // a Go program prints its goroutines
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
			p.Kill()
		}
		return p.exit, fmt.Errorf("%s did not end: %w\n%s", p.cmd, context.Cause(ctx), p.exit.Stderr)
	}
}

// Summary decodes what `millrace run --json` wrote to standard output.
func (e Exit) Summary() (Summary, error) {
	var s Summary
	if err := json.Unmarshal([]byte(e.Stdout), &s); err != nil {
		return s, fmt.Errorf("summary of the run: %w; standard output is %q", err, e.Stdout)
	}
	return s, nil
}
