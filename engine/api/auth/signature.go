// Package auth tells who sent a request, by its AWS Signature Version 4 or by the certificate of the client. The
// header and the query form are known; what somebody may do is the affair of package policy.
//
// The invariant to remember: in mode Keys a request is somebody's only if the whole of it was signed
// with that user's secret within the last minutes: method, path, query, the headers that say what is to be
// done, and the body.
package auth

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeLayout = "20060102T150405Z"
	dateLayout = "20060102"
	// maxParameters bounds the signed headers, and maxHeader the Authorization header, of which an answer
	// repeats a part.
	maxParameters = 64
	maxHeader     = 8 << 10
	// longestLife of a signature in a query (AWS: seven days).
	longestLife = 7 * 24 * time.Hour
)

// signature is what a request says about its own.
type signature struct {
	// credential is the access key and the scope: date, region, service.
	accessKey, date, region, service string
	headers                          []string
	mac                              []byte
	at                               time.Time
	// stamp is at as the request has it.
	stamp string
	// life is how long it is good for, in the query form.
	life    time.Duration
	inQuery bool
}

func fault(kind, message string) *wire.Fault { return &wire.Fault{Type: kind, Message: message} }

// parse finds the signature of a request. The texts are those of AWS.
func parse(r *http.Request) (*signature, *wire.Fault) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault("IncompleteSignatureException", "The query string cannot be parsed.")
	}
	header := r.Header.Get("Authorization")
	switch inQuery := query.Has("X-Amz-Algorithm"); {
	case header != "" && inQuery:
		return nil, fault("InvalidSignatureException", "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
	case header != "":
		return parseHeader(r, header)
	case inQuery:
		return parseQuery(query)
	}
	return nil, fault("MissingAuthenticationTokenException", "Missing Authentication Token")
}

func parseHeader(r *http.Request, header string) (*signature, *wire.Fault) {
	if len(header) > maxHeader || len(r.Header.Values("Authorization")) > 1 {
		return nil, fault("IncompleteSignatureException", "Authorization header is too long or there are several.")
	}
	kind, list, _ := strings.Cut(header, " ")
	parameters := map[string]string{}
	for _, p := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' }) {
		if name, value, ok := strings.Cut(p, "="); ok {
			parameters[name] = value
		}
	}
	stamp := r.Header.Get("X-Amz-Date")
	if stamp == "" {
		stamp = r.Header.Get("Date")
	}
	var missing []string
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parameters[name] == "" {
			missing = append(missing, "Authorization header requires '"+name+"' parameter.")
		}
	}
	if stamp == "" {
		missing = append(missing, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if kind != algorithm && len(missing) == 0 {
		missing = append(missing, "Authorization header requires '"+algorithm+"'.")
	}
	if len(missing) > 0 {
		return nil, fault("IncompleteSignatureException", strings.Join(missing, " ")+" Authorization="+hidden(header))
	}
	s := &signature{stamp: stamp}
	return s, s.fill(parameters["Credential"], parameters["SignedHeaders"], parameters["Signature"])
}

// hidden is the header without what somebody could have signed with.
func hidden(header string) string {
	before, after, ok := strings.Cut(header, "Signature=")
	if !ok {
		return header
	}
	if i := strings.IndexAny(after, ", "); i >= 0 {
		return before + "Signature=…" + after[i:]
	}
	return before + "Signature=…"
}

func parseQuery(query url.Values) (*signature, *wire.Fault) {
	var missing []string
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
		if len(query[name]) != 1 || query.Get(name) == "" {
			missing = append(missing, "AWS query-string parameters must include '"+name+"'.")
		}
	}
	if len(missing) > 0 {
		return nil, fault("IncompleteSignatureException", strings.Join(missing, " ")+" Re-examine the query-string parameters.")
	}
	if query.Get("X-Amz-Algorithm") != algorithm {
		return nil, fault("IncompleteSignatureException", "Unsupported AWS 'algorithm': '"+algorithm+"' is the one that is known.")
	}
	s := &signature{stamp: query.Get("X-Amz-Date"), inQuery: true}
	if text := query.Get("X-Amz-Expires"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		s.life = time.Duration(seconds) * time.Second
		if err != nil || s.life > longestLife {
			return nil, fault("IncompleteSignatureException", "X-Amz-Expires must be 1 to 604800 seconds.")
		}
	}
	return s, s.fill(query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders"), query.Get("X-Amz-Signature"))
}

// fill takes the parts apart. A date that is no time is left to the check.
func (s *signature) fill(credential, headers, mac string) *wire.Fault {
	// An access key may have slashes, the scope has none.
	parts := strings.Split(credential, "/")
	n := len(parts)
	if n < 5 || parts[n-1] != terminator {
		return fault("IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '"+credential+"'")
	}
	s.accessKey = strings.Join(parts[:n-4], "/")
	s.date, s.region, s.service = parts[n-4], parts[n-3], parts[n-2]
	s.headers = strings.Split(headers, ";")
	var err error
	if s.mac, err = hex.DecodeString(mac); err != nil || len(s.headers) > maxParameters || !slices.IsSorted(s.headers) {
		return fault("IncompleteSignatureException", "Signature must be hexadecimal, and SignedHeaders sorted and at most "+strconv.Itoa(maxParameters)+".")
	}
	s.at, err = time.Parse(timeLayout, s.stamp)
	if err != nil {
		s.at, err = http.ParseTime(s.stamp)
	}
	if err != nil {
		return fault("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'. Got '"+s.stamp+"'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	s.at = s.at.UTC()
	return nil
}
