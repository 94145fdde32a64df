package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/millrace-io/millrace/engine/api/cert"
)

// tlsFlags say whether and how clients are spoken to by TLS.
type tlsFlags struct {
	TLS      string   `name:"tls" help:"auto makes a certificate that is signed with its own key, in DIR/tls, and keeps it." enum:"off,auto" default:"off"`
	TLSCert  string   `name:"tls-cert" help:"Certificate of the server, in PEM, with those that signed it behind it. It is read again when it changes." placeholder:"FILE"`
	TLSKey   string   `name:"tls-key" help:"Private key of the certificate, in PEM." placeholder:"FILE"`
	TLSName  []string `name:"tls-name" help:"One more host name or address that --tls auto makes the certificate for." placeholder:"HOST"`
	ClientCA string   `name:"client-ca" help:"Clients must show a certificate that one of these signed, in PEM." placeholder:"FILE"`
}

// check refuses flags that contradict each other.
func (f *tlsFlags) check() error {
	own := f.TLSCert != "" || f.TLSKey != ""
	switch {
	case (f.TLSCert == "") != (f.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key belong together: give both")
	case own && f.TLS == "auto":
		return errors.New("--tls auto makes a certificate: leave it out, or --tls-cert and --tls-key")
	case f.ClientCA != "" && !f.on():
		return errors.New("--client-ca is about TLS: give --tls-cert and --tls-key too, or --tls auto")
	case len(f.TLSName) > 0 && f.TLS != "auto":
		return errors.New("--tls-name is for --tls auto; a certificate of your own has its names")
	}
	return nil
}

// on reports whether TLS is spoken.
func (f *tlsFlags) on() bool { return f.TLS == "auto" || f.TLSCert != "" }

// open returns the certificates, nil without TLS. What a user must know to trust one that was made is printed.
func (f *tlsFlags) open(a *app, data, listen string) (*cert.Server, error) {
	if !f.on() {
		return nil, nil
	}
	files := cert.Files{Certificate: f.TLSCert, Key: f.TLSKey}
	made := false
	if f.TLS == "auto" {
		var err error
		dir, err := filepath.Abs(filepath.Join(data, "tls"))
		if err != nil {
			return nil, err
		}
		if files, made, err = cert.Auto(dir, cert.HostNames(listen, f.TLSName...), time.Now()); err != nil {
			return nil, err
		}
	}
	files.ClientCA = f.ClientCA
	s, err := cert.Open(files, time.Now, a.log)
	if err != nil {
		return nil, usageError{err}
	}
	if f.TLS == "auto" {
		state := "as before"
		if made {
			state = "new: clients must be told to trust it, for example by AWS_CA_BUNDLE=" + files.Certificate
		}
		fmt.Fprintf(a.stderr, "certificate %s\n  SHA-256 %s\n  %s\n", files.Certificate, s.Fingerprint(), state)
	}
	return s, nil
}

// wrapped is a listener that speaks TLS with the certificates; l itself without them.
func wrapped(l net.Listener, s *cert.Server) (net.Listener, string) {
	if s == nil {
		return l, "http"
	}
	return tls.NewListener(l, s.Config()), "https"
}
