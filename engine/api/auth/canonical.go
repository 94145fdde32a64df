package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// canonical is the text of a request that is signed (AWS, Signature Version 4). body is the hash of the body in
// hexadecimal.
func canonical(r *http.Request, s *signature, body string) (string, error) {
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(r.Method)
	b.WriteByte('\n')
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	// Services other than S3 encode the encoded path again.
	escape(&b, path, true)
	b.WriteByte('\n')
	b.WriteString(query)
	b.WriteByte('\n')
	for _, name := range s.headers {
		b.WriteString(name)
		b.WriteByte(':')
		writeHeader(&b, r, name)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(s.headers, ";"))
	b.WriteByte('\n')
	b.WriteString(body)
	return b.String(), nil
}

// writeHeader writes the values of a header with single spaces. Go keeps two headers elsewhere.
func writeHeader(b *strings.Builder, r *http.Request, name string) {
	switch name {
	case "host":
		b.WriteString(r.Host)
		return
	case "content-length":
		b.WriteString(strconv.FormatInt(r.ContentLength, 10))
		return
	}
	for i, v := range r.Header.Values(name) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strings.Join(strings.FieldsFunc(v, func(c rune) bool { return c == ' ' }), " "))
	}
}

// canonicalQuery is the query sorted and encoded, without the signature itself.
func canonicalQuery(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return "", err
	}
	var pairs []string
	for name, values := range query {
		if name == "X-Amz-Signature" {
			continue
		}
		for _, v := range values {
			var b strings.Builder
			escape(&b, name, false)
			b.WriteByte('=')
			escape(&b, v, false)
			pairs = append(pairs, b.String())
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&"), nil
}

const upperHex = "0123456789ABCDEF"

// escape is RFC 3986's percent encoding of all but unreserved characters, and slashes if they are kept.
func escape(b *strings.Builder, s string, slashes bool) {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '~', c == '/' && slashes:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
}

// sign is the signature of a canonical request with a secret.
func (s *signature) sign(canonical, secret string) []byte {
	hash := sha256.Sum256([]byte(canonical))
	text := algorithm + "\n" + s.at.Format(timeLayout) + "\n" + s.date + "/" + s.region + "/" + s.service + "/" + terminator + "\n" + hex.EncodeToString(hash[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{s.date, s.region, s.service, terminator, text} {
		key = mac(key, part)
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
