package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// autoLife of a certificate that the server signs itself, and how long before its end another is made.
	autoLife  = 10 * 365 * 24 * time.Hour
	autoRenew = 30 * 24 * time.Hour
	// backdate is for clients whose clocks are late.
	backdate = time.Hour
)

// Auto returns the files of a certificate that is signed with its own key, in a directory. It is made at the first
// time and stays the same, so that clients which trust it go on to, until it lacks a name or its end is near;
// made says that it is a new one. names are host names and IP addresses that clients may call the server.
func Auto(dir string, names []string, now time.Time) (files Files, made bool, err error) {
	files = Files{Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	old, err := leaf(files.Certificate)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files, false, err
	}
	if old != nil {
		if covers(old, names) && now.Before(old.NotAfter.Add(-autoRenew)) {
			return files, false, nil
		}
		names = append(names, namesOf(old)...)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return files, false, fmt.Errorf("make a certificate: %w", err)
	}
	if err := makeAuto(files, names, now); err != nil {
		return files, false, fmt.Errorf("make a certificate: %w", err)
	}
	return files, true, nil
}

// HostNames are those by which clients may call a server that listens on an address: this machine, its name, the
// address, and more.
func HostNames(listen string, more ...string) []string {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, more...)
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
			names = append(names, host)
		}
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		names = append(names, host)
	}
	return names
}

// leaf is the certificate in a file.
func leaf(name string) (*x509.Certificate, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate in PEM; remove it to have a new one made", name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it to have a new one made", name, err)
	}
	return c, nil
}

func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func covers(c *x509.Certificate, names []string) bool {
	for _, name := range names {
		if c.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// makeAuto writes a new key and certificate. It is no authority: who gets hold of the key can sign nothing else.
func makeAuto(files Files, names []string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Millrace"}, CommonName: "millrace serve"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(autoLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			if !slices.ContainsFunc(template.IPAddresses, ip.Equal) {
				template.IPAddresses = append(template.IPAddresses, ip)
			}
		} else if !slices.Contains(template.DNSNames, name) {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// The key first: a certificate is there only with its key.
	if err := writePEM(files.Key, "PRIVATE KEY", secret, 0o600); err != nil {
		return err
	}
	return writePEM(files.Certificate, "CERTIFICATE", der, 0o644)
}

// writePEM replaces a file at once.
func writePEM(name, kind string, der []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
