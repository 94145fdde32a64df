package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// Credentials are what a client signs with.
type Credentials struct {
	AccessKey, Secret string
	// Token is that of a session, empty for keys that last.
	Token string
}

// Sign signs a request with a body in a header, as SDKs do.
func Sign(r *http.Request, body []byte, c Credentials, region, service string, at time.Time) error {
	at = at.UTC()
	s := &signature{
		accessKey: c.AccessKey, date: at.Format(dateLayout), region: region, service: service, at: at,
		headers: []string{"content-type", "host", "x-amz-date", "x-amz-target"},
	}
	r.Header.Set("X-Amz-Date", at.Format(timeLayout))
	if c.Token != "" {
		r.Header.Set("X-Amz-Security-Token", c.Token)
		s.headers = []string{"content-type", "host", "x-amz-date", "x-amz-security-token", "x-amz-target"}
	}
	sum := sha256.Sum256(body)
	text, err := canonical(r, s, hex.EncodeToString(sum[:]))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", algorithm+" Credential="+c.AccessKey+"/"+s.date+"/"+region+"/"+service+"/"+terminator+
		", SignedHeaders="+strings.Join(s.headers, ";")+", Signature="+hex.EncodeToString(s.sign(text, c.Secret)))
	return nil
}
