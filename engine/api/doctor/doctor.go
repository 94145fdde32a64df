// Package doctor tells what is wrong with the settings of an AWS client for an endpoint of the Kinesis API: it reads
// them where SDKs do, connects as they do, and says of each thing whether it is well and, if not, what to do.
//
// The invariant to remember: it changes nothing, here or there, and no secret is in what it says.
package doctor

import (
	"context"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Result of a check.
type Result string

// The results. What is Doubtful works for some clients or in some cases.
const (
	OK       Result = "ok"
	Doubtful Result = "doubtful"
	Wrong    Result = "wrong"
)

// Finding is what one check found.
type Finding struct {
	Check   string `json:"check"`
	Result  Result `json:"result"`
	Message string `json:"message"`
	// Cure is what to do, empty when nothing is to be done.
	Cure string `json:"cure,omitempty"`
}

// Options say what to look at. The zero value of a field has what the process has.
type Options struct {
	// Endpoint as a client is told it; empty for that of the settings.
	Endpoint string
	// Region and Profile that a client is told, if it is.
	Region, Profile string
	Getenv          func(name string) string
	ReadFile        func(name string) ([]byte, error)
	Home            string
	Now             func() time.Time
}

// Report is all that was found.
type Report struct {
	Endpoint string    `json:"endpoint"`
	OK       bool      `json:"ok"`
	Findings []Finding `json:"findings"`
}

// examination is one at work.
type examination struct {
	o        Options
	settings settings
	url      *url.URL
	report   Report
}

func (e *examination) say(check string, r Result, message, cure string) {
	e.report.Findings = append(e.report.Findings, Finding{check, r, message, cure})
}

func (e *examination) well(check, message string)        { e.say(check, OK, message, "") }
func (e *examination) doubt(check, message, cure string) { e.say(check, Doubtful, message, cure) }
func (e *examination) wrong(check, message, cure string) { e.say(check, Wrong, message, cure) }

// Endpoint is the one that the settings name, empty if none does.
func Endpoint(o Options) string {
	o.fill()
	return o.settings().endpoint
}

func (o *Options) fill() {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	if o.Home == "" {
		o.Home, _ = os.UserHomeDir() // without one there are no files
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Examine checks everything that can be checked. What cannot be reached is not asked further.
func Examine(ctx context.Context, o Options) Report {
	o.fill()
	e := &examination{o: o, settings: o.settings()}
	if o.Endpoint == "" {
		e.o.Endpoint = e.settings.endpoint
	}
	e.report.Endpoint = e.o.Endpoint
	if e.parse() {
		e.environment()
		e.credentials()
		e.region()
		e.proxies()
		if e.connect(ctx) {
			e.ask(ctx)
		}
	}
	e.report.OK = true
	for _, f := range e.report.Findings {
		e.report.OK = e.report.OK && f.Result != Wrong
	}
	return e.report
}

// parse takes the endpoint apart.
func (e *examination) parse() bool {
	u, err := url.Parse(e.o.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		e.wrong("endpoint", quote(e.o.Endpoint)+" is no endpoint", "write it as http://HOST:PORT or https://HOST:PORT")
		return false
	case u.Port() == "":
		e.doubt("endpoint", e.o.Endpoint+" has no port, so clients try "+standardPort(u), "add the port that the server says at its start, as in "+u.Scheme+"://"+u.Host+":4567")
	}
	e.url = u
	return true
}

func standardPort(u *url.URL) string {
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// address is where the endpoint is.
func (e *examination) address() string {
	if e.url.Port() == "" {
		return net.JoinHostPort(e.url.Hostname(), standardPort(e.url))
	}
	return e.url.Host
}

func quote(s string) string { return `"` + strings.ToValidUTF8(s, "?") + `"` }
