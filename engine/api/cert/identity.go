package cert

import (
	"crypto/tls"
)

// Names are what a client's certificate, which was verified, calls it: the names of its subject alternative name
// (DNS, mail, URI), and the common name of its subject. None without a certificate.
func Names(state *tls.ConnectionState) []string {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return nil
	}
	c := state.VerifiedChains[0][0]
	names := append([]string{}, c.DNSNames...)
	names = append(names, c.EmailAddresses...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	if c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	return names
}
