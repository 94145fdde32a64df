package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/api/cert"
	"github.com/millrace-io/millrace/engine/api/policy"
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
	// MTLS wants a client certificate of a known user. What is signed is not looked at.
	MTLS Mode = "mtls"
	// Auto is Open as long as there are no users, then Keys.
	Auto Mode = "auto"
)

const (
	// skew is how far the clocks of client and server may be apart (AWS: five minutes).
	skew = 5 * time.Minute
	// presigned is how long a signature in a query may be good for (AWS: 15 minutes for all services but S3).
	presigned = 15 * time.Minute
)

// User is one of those who send requests.
type User struct {
	Name string
	// Policy says what the user may do; nil is nothing.
	Policy *policy.Document
	// Owner says that no policy of a resource keeps the user from replacing or removing it (AWS: the root user of an
	// account).
	Owner bool
}

// Users knows who there is. Its methods are called from any goroutine, with every request; they tell what holds now.
type Users interface {
	// ByKey finds the user of an access key that is good now, and the key's secret.
	ByKey(accessKey string) (u *User, secret string, ok bool)
	// ByCertificate finds the user whom a client certificate with these names belongs to; ok is false also when
	// they belong to several.
	ByCertificate(names []string) (u *User, ok bool)
	// Any reports whether there are users at all.
	Any() bool
}

// Verifier tells who sent requests to a service. Its methods may be called from any goroutine.
type Verifier struct {
	Mode Mode
	// Service that signatures must be made for, for example kinesis.
	Service string
	// Users are needed in every mode but Open.
	Users Users
	// Now is the clock.
	Now func() time.Time
}

// Identity is who sent a request.
type Identity struct {
	// User is nil when nobody was asked who he is: everything is allowed then.
	User *User
	// AccessKey that was claimed; in mode Keys it is proved.
	AccessKey string
	// Region that the client believes to speak to.
	Region string
}

// mustSign are headers that decide what is done, and so must be signed where they are sent.
var mustSign = []string{"x-amz-target", "x-amz-date", "x-amz-security-token"}

// Demands is what is asked now; never Auto.
func (v *Verifier) Demands() Mode {
	if v.Mode != Auto {
		return v.Mode
	}
	if v.Users.Any() {
		return Keys
	}
	return Open
}

// claim is what a request's header says of who sent it.
type claim struct {
	Identity
	// user and secret are those of the access key, in mode Keys; proved says that there is nothing to prove.
	user   *User
	secret string
	proved bool
}

// Precheck refuses what Check would refuse whatever the body is, so that little of it need be read. The identity is what
// is claimed.
func (v *Verifier) Precheck(r *http.Request) (Identity, *wire.Fault) {
	s, wrong := parse(r)
	c, wrong := v.claim(r, s, wrong)
	return c.Identity, wrong
}

// claim looks at the header; wrong is what is wrong with the signature in it.
func (v *Verifier) claim(r *http.Request, s *signature, wrong *wire.Fault) (c claim, _ *wire.Fault) {
	mode := v.Demands()
	if s != nil && wrong == nil {
		c.Identity = Identity{AccessKey: s.accessKey, Region: s.region}
	}
	if mode == MTLS {
		c.proved = true
		c.Identity, wrong = v.byCertificate(r, c.Identity)
		return c, wrong
	}
	if wrong != nil || mode == Open {
		c.proved = true
		return c, wrong
	}
	if wrong := v.scope(r, s); wrong != nil {
		return c, wrong
	}
	known := false
	if c.user, c.secret, known = v.Users.ByKey(s.accessKey); !known {
		return c, unrecognized()
	}
	return c, nil
}

// Check returns who sent a request with a body. When it is refused, the identity is what was claimed.
func (v *Verifier) Check(r *http.Request, body []byte) (Identity, *wire.Fault) {
	s, wrong := parse(r)
	c, wrong := v.claim(r, s, wrong)
	id := c.Identity
	if wrong != nil || c.proved {
		return id, wrong
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	text, err := canonical(r, s, hash)
	// A hash that is claimed must be the body's: UNSIGNED-PAYLOAD and its like are for S3 alone.
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	if err != nil || claimed != "" && claimed != hash || !hmac.Equal(s.sign(text, c.secret), s.mac) {
		return id, fault("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	id.User = c.user
	return id, nil
}

// Again returns who the sender of a request is now, which Check accepted a while ago. What was proved by a signature
// stays proved, as long as the key is good.
func (v *Verifier) Again(r *http.Request, id Identity) (Identity, *wire.Fault) {
	switch v.Demands() {
	case Open:
		return id, nil
	case MTLS:
		return v.byCertificate(r, id)
	}
	user, _, known := v.Users.ByKey(id.AccessKey)
	if id.User == nil || !known {
		return id, unrecognized()
	}
	id.User = user
	return id, nil
}

func unrecognized() *wire.Fault {
	return fault("UnrecognizedClientException", "The security token included in the request is invalid.")
}

// byCertificate knows the sender by the certificate of the connection.
func (v *Verifier) byCertificate(r *http.Request, id Identity) (Identity, *wire.Fault) {
	// A key that was not verified says nothing about who this is.
	id.AccessKey = ""
	names := cert.Names(r.TLS)
	if len(names) == 0 {
		return id, fault("MissingAuthenticationTokenException", "Missing Authentication Token: the server asks for a client certificate")
	}
	user, ok := v.Users.ByCertificate(names)
	if !ok {
		return id, fault("UnrecognizedClientException", "The client certificate is not that of one user. It names "+strings.Join(names, ", "))
	}
	id.User = user
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
	life := s.good()
	if now.Sub(s.at) > life {
		return fault("InvalidSignatureException", "Signature expired: "+s.at.Format(timeLayout)+" is now earlier than "+
			now.Add(-life).Format(timeLayout)+" ("+now.Format(timeLayout)+" - "+short(life)+".)")
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

// good is how long a signature is good for after it was made: in the query form as long as it says itself, if that
// is less than what is allowed.
func (s *signature) good() time.Duration {
	switch {
	case !s.inQuery:
		return skew
	case s.life == 0:
		return presigned
	}
	return min(s.life, presigned)
}

// short is a duration as AWS writes it: 5 min.
func short(d time.Duration) string {
	if d%time.Minute == 0 {
		return strings.TrimSuffix(d.String(), "m0s") + " min"
	}
	return d.String()
}
