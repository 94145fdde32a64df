package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
)

// Mode says what is asked of a request.
type Mode string

const (
	// Open wants a signature that is well formed, as SDKs send one, and does not verify it: anybody may do
	// anything.
	Open Mode = "open"
	// Keys wants the signature of a known access key.
	Keys Mode = "keys"
)

// skew is how far the clocks of client and server may be apart (AWS: five minutes).
const skew = 5 * time.Minute

// Verifier tells who sent requests to a service. Its methods may be called from any goroutine.
type Verifier struct {
	Mode Mode
	// Service that signatures must be made for, for example kinesis.
	Service string
	// Secret returns that of an access key, in mode Keys.
	Secret func(accessKey string) (secret string, ok bool)
	// Now is the clock.
	Now func() time.Time
}

// Identity is who sent a request.
type Identity struct {
	// AccessKey that was claimed; in mode Keys it is proved.
	AccessKey string
	// Region that the client believes to speak to.
	Region string
}

// mustSign are headers that decide what is done, and so must be signed where they are sent.
var mustSign = []string{"x-amz-target", "x-amz-date", "x-amz-security-token"}

// Check returns who sent a request with a body.
func (v *Verifier) Check(r *http.Request, body []byte) (Identity, *wire.Fault) {
	s, wrong := parse(r)
	if wrong != nil {
		return Identity{}, wrong
	}
	id := Identity{AccessKey: s.accessKey, Region: s.region}
	if v.Mode == Open {
		return id, nil
	}
	if wrong := v.scope(r, s); wrong != nil {
		return Identity{}, wrong
	}
	secret, known := v.Secret(s.accessKey)
	if !known {
		return Identity{}, fault("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	text, err := canonical(r, s, hash)
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	if err != nil || claimed != "" && claimed != hash || !hmac.Equal(s.sign(text, secret), s.mac) {
		return Identity{}, fault("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return id, nil
}

// scope checks what a signature is for: the service, the day, the minutes around now, and the headers that count.
func (v *Verifier) scope(r *http.Request, s *signature) *wire.Fault {
	if s.service != v.Service {
		return fault("InvalidSignatureException", "Credential should be scoped to correct service: '"+v.Service+"'. ")
	}
	if s.date != s.at.Format(dateLayout) {
		return fault("InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '"+
			s.date+"' != '"+s.at.Format(dateLayout)+"', from '"+s.stamp+"'.")
	}
	now := v.Now().UTC()
	life := max(s.life, skew)
	if now.Sub(s.at) > life {
		return fault("InvalidSignatureException", "Signature expired: "+s.at.Format(timeLayout)+" is now earlier than "+
			now.Add(-life).Format(timeLayout)+" ("+now.Format(timeLayout)+" - "+life.String()+".)")
	}
	if s.at.Sub(now) > skew {
		return fault("InvalidSignatureException", "Signature not yet current: "+s.at.Format(timeLayout)+" is still later than "+
			now.Add(skew).Format(timeLayout)+" ("+now.Format(timeLayout)+" + 5 min.)")
	}
	if !slices.Contains(s.headers, "host") {
		return fault("InvalidSignatureException", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for _, name := range mustSign {
		if r.Header.Get(name) != "" && !slices.Contains(s.headers, name) {
			return fault("InvalidSignatureException", "'"+strings.ToUpper(name)+"' must be a 'SignedHeader' in the AWS Authorization.")
		}
	}
	return nil
}
