package kinesis

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// sealer makes the texts that clients hand back: iterators and the tokens of lists. They are signed, so that
// nobody makes one for a stream that is not his.
type sealer struct {
	secret []byte
	now    func() time.Time
}

// Kinds of tokens; one is never taken for another.
const (
	iteratorToken byte = iota + 1
	shardsToken
	streamsToken
	consumersToken
)

// tokenLife is how long iterators and tokens are good for (Kinesis API, GetShardIterator and ListShards).
const tokenLife = 300 * time.Second

// A token is 8 bytes that are those of the service, the kind, when it was made, what it says, and a signature.
const (
	tokenHead = 8 + 1 + 8
	tokenMAC  = 16
)

// errToken reports a text that is no token of the kind.
var errToken = errors.New("not a token")

// seal makes a token.
func (s *sealer) seal(kind byte, payload []byte) string {
	b := make([]byte, 0, tokenHead+len(payload)+tokenMAC)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 1, kind)
	b = binary.BigEndian.AppendUint64(b, uint64(s.now().UnixMilli()))
	b = append(b, payload...)
	b = append(b, s.mac(b)...)
	return base64.StdEncoding.EncodeToString(b)
}

// open returns what a token says and when it was made. Error: errToken.
func (s *sealer) open(kind byte, text string) (payload []byte, made time.Time, err error) {
	// Some clients pass a token on with the quotes of JSON around it.
	b, err := base64.StdEncoding.DecodeString(strings.Trim(text, `"`))
	if err != nil || len(b) < tokenHead+tokenMAC || b[8] != kind {
		return nil, time.Time{}, errToken
	}
	body, mac := b[:len(b)-tokenMAC], b[len(b)-tokenMAC:]
	if !hmac.Equal(mac, s.mac(body)) {
		return nil, time.Time{}, errToken
	}
	return body[tokenHead:], time.UnixMilli(int64(binary.BigEndian.Uint64(body[9:]))), nil
}

// expired reports whether a token of that time is good no more.
func (s *sealer) expired(made time.Time) bool { return s.now().Sub(made) > tokenLife }

func (s *sealer) mac(b []byte) []byte {
	h := hmac.New(sha256.New, s.secret)
	h.Write(b)
	return h.Sum(nil)[:tokenMAC]
}
