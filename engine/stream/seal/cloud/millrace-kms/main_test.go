package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
)

// TestMain is the program itself when it is started as such, so that the tests go the whole way:
// keyring, child process, client, service.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && (os.Args[1] == "wrap" || os.Args[1] == "unwrap") {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// service is a key service with one key, behind the protocols of Vault and AWS.
type service struct {
	t    *testing.T
	aead *subtle.AESGCM
	// down answers every request with an error that is not a refusal.
	down bool
}

func newService(t *testing.T) (*service, string) {
	t.Helper()
	a, err := subtle.NewAESGCM(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, aead: a}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", "sesame")
	t.Setenv("VAULT_MAX_RETRIES", "0")
	t.Setenv("AWS_ENDPOINT_URL_KMS", server.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "sesame")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return s, host
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request map[string]any
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		s.t.Errorf("request: %v", err)
	}
	switch target := r.Header.Get("X-Amz-Target"); {
	case s.down:
		http.Error(w, `{"errors":["sealed"],"__type":"KMSInternalException"}`, http.StatusServiceUnavailable)
	case target != "":
		s.aws(w, strings.TrimPrefix(target, "TrentService."), request)
	default:
		s.vault(w, r, request)
	}
}

func (s *service) vault(w http.ResponseWriter, r *http.Request, request map[string]any) {
	if r.Header.Get("X-Vault-Token") != "sesame" {
		http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
		return
	}
	aad := unbase64(s.t, request["associated_data"])
	switch r.URL.Path {
	case "/v1/transit/encrypt/orders":
		b, err := s.aead.Encrypt(unbase64(s.t, request["plaintext"]), aad)
		if err != nil {
			s.t.Error(err)
		}
		fmt.Fprintf(w, `{"data":{"ciphertext":"vault:v1:%s"}}`, base64.StdEncoding.EncodeToString(b))
	case "/v1/transit/decrypt/orders":
		text, _ := strings.CutPrefix(request["ciphertext"].(string), "vault:v1:")
		b, err := s.aead.Decrypt(unbase64(s.t, text), aad)
		if err != nil {
			http.Error(w, `{"errors":["cipher: message authentication failed"]}`, http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `{"data":{"plaintext":"%s"}}`, base64.StdEncoding.EncodeToString(b))
	default:
		http.Error(w, `{"errors":["no handler for route"]}`, http.StatusNotFound)
	}
}

func (s *service) aws(w http.ResponseWriter, op string, request map[string]any) {
	aad := fmt.Append(nil, request["EncryptionContext"])
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if op == "Encrypt" {
		b, err := s.aead.Encrypt(unbase64(s.t, request["Plaintext"]), aad)
		if err != nil {
			s.t.Error(err)
		}
		fmt.Fprintf(w, `{"CiphertextBlob":"%s","KeyId":"x"}`, base64.StdEncoding.EncodeToString(b))
		return
	}
	b, err := s.aead.Decrypt(unbase64(s.t, request["CiphertextBlob"]), aad)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"InvalidCiphertextException"}`)
		return
	}
	fmt.Fprintf(w, `{"Plaintext":"%s","KeyId":"x"}`, base64.StdEncoding.EncodeToString(b))
}

func unbase64(t *testing.T, v any) []byte {
	text, _ := v.(string)
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Errorf("%v is not base64", v)
	}
	return b
}

func uris(host string) map[string]string {
	return map[string]string{
		"vault": "hcvault://" + host + "/transit/keys/orders",
		"aws":   "aws-kms://arn:aws:kms:eu-west-1:111122223333:key/orders",
	}
}

func ring(t *testing.T, uri string) *seal.Ring {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m, err := master.Open(uri, master.Options{Helper: self})
	if err != nil {
		t.Fatal(err)
	}
	return seal.NewRing("orders", m)
}

func TestDataKeysAreWrappedByTheService(t *testing.T) {
	_, host := newService(t)
	for name, uri := range uris(host) {
		t.Run(name, func(t *testing.T) {
			r := ring(t, uri)
			key, wrapped, err := r.NewSegmentKey(context.Background(), []byte("segment 7"))
			if err != nil {
				t.Fatal(err)
			}
			frame, err := key.Seal(nil, []byte("secret"), nil, 1)
			if err != nil {
				t.Fatal(err)
			}
			if wrapped, err = r.Rewrap(context.Background(), wrapped, []byte("segment 7")); err != nil {
				t.Fatal(err)
			}
			again, err := r.OpenSegmentKey(context.Background(), wrapped, []byte("segment 7"))
			if err != nil {
				t.Fatal(err)
			}
			if text, err := again.Open(nil, frame, nil, 1); err != nil || string(text) != "secret" {
				t.Errorf("opened %q, %v", text, err)
			}
			var refused *seal.KeyError
			_, err = r.OpenSegmentKey(context.Background(), wrapped, []byte("segment 8"))
			if !errors.As(err, &refused) {
				t.Errorf("another segment's key: %v", err)
			}
		})
	}
}

func TestServiceThatIsDownIsNoRefusal(t *testing.T) {
	s, host := newService(t)
	s.down = true
	for name, uri := range uris(host) {
		t.Run(name, func(t *testing.T) {
			_, _, err := ring(t, uri).NewSegmentKey(context.Background(), nil)
			var refused *seal.KeyError
			if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), uri) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestWrongTokenIsRefusedAndNotShown(t *testing.T) {
	_, host := newService(t)
	t.Setenv("VAULT_TOKEN", "open-barley")
	_, _, err := ring(t, uris(host)["vault"]).NewSegmentKey(context.Background(), nil)
	var refused *seal.KeyError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "permission denied") || strings.Contains(err.Error(), "barley") {
		t.Errorf("error %v", err)
	}
}

func TestVaultIsSpokenToByHTTPSByDefault(t *testing.T) {
	_, host := newService(t)
	t.Setenv("VAULT_ADDR", "")
	_, _, err := ring(t, uris(host)["vault"]).NewSegmentKey(context.Background(), nil)
	if err == nil || !strings.Contains(err.Error(), "HTTPS") {
		t.Errorf("error %v", err)
	}
}

func TestMistakesAreExplained(t *testing.T) {
	for _, c := range []struct{ args, input, want string }{
		{"", "", "usage"},
		{"wrap", "", "usage"},
		{"steal hcvault://x/transit/keys/y", "{}", "usage"},
		{"wrap hcvault://x/transit/keys/y", "sesame", "not a message"},
		{"wrap gcp-kms://x", "{}", "want aws-kms"},
		{"wrap hcvault://x/y", "{}", "malformed"},
		{"wrap aws-kms://key", "{}", "region"},
	} {
		err := run(context.Background(), strings.Fields(c.args), strings.NewReader(c.input), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: error %v, want %q", c.args, err, c.want)
		}
	}
}
