package kinesis

import (
	"net"
	"net/http"
	"net/url"

	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/wire"
)

// crossOrigin lets web pages ask, as AWS does, if they may. It reports whether the request is answered.
func (s *Service) crossOrigin(w http.ResponseWriter, r *http.Request, id string) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	if !s.welcome(origin) {
		format, _ := formatOf(r.Header.Get("Content-Type"))
		// A client that went away is its own affair.
		_ = wire.AnswerFault(w, format, id, &wire.Fault{Type: "AccessDeniedException", Status: http.StatusForbidden,
			Message: "Web pages of other machines may not ask a server that asks nobody who he is. Make a user, or spell out that it is insecure."})
		return true
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date")
	if r.Method != http.MethodOptions {
		return false
	}
	for asked, allowed := range map[string]string{
		"Access-Control-Request-Headers": "Access-Control-Allow-Headers", "Access-Control-Request-Method": "Access-Control-Allow-Methods",
	} {
		if v := r.Header.Get(asked); v != "" {
			h.Set(allowed, v)
		}
	}
	h.Set("Access-Control-Max-Age", "172800")
	wire.SetIDs(h, id)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return true
}

// welcome reports whether pages of an origin may ask. Where nobody has to prove who he is, those that the browser of this
// machine got from elsewhere would have all of its rights; also under a name of theirs that leads here.
func (s *Service) welcome(origin string) bool {
	if s.o.AnyOrigin || s.o.Verifier.Demands() != auth.Open {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
