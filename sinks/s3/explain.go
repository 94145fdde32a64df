package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
)

// explain says what an error of the store means, and what to do about it. None of these is
// permanent: the cure may come while the sink waits.
func (s *store) explain(err error) error {
	at := fmt.Sprintf("(endpoint %s)", s.endpoint)
	r := minio.ToErrorResponse(err)
	switch r.Code {
	case minio.NoSuchBucket:
		// Rejected rows may be read from another bucket than that of the sink.
		bucket := cmp.Or(r.BucketName, s.bucket)
		return fmt.Errorf("bucket %q does not exist %s; create it, for example with: mc mb STORE/%s", bucket, at, bucket)
	case "InvalidAccessKeyId":
		return fmt.Errorf("the store does not know the access_key %s; check access_key and secret_key", at)
	case "SignatureDoesNotMatch":
		return fmt.Errorf("the secret_key does not belong to the access_key %s; check both", at)
	case "ExpiredToken", "ExpiredTokenException":
		return fmt.Errorf("the session_token has expired %s; start again with new credentials", at)
	case "InvalidToken", "InvalidTokenId":
		return fmt.Errorf("the session_token does not belong to the access_key %s; check access_key, secret_key and session_token", at)
	case minio.AccessDenied, "AllAccessDisabled":
		return fmt.Errorf("the credentials may not write to bucket %q %s; allow them s3:PutObject and s3:GetObject below the prefix", s.bucket, at)
	case minio.AuthorizationHeaderMalformed, "PermanentRedirect", minio.InvalidRegion, "IllegalLocationConstraintException":
		return fmt.Errorf("bucket %q is in another region %s: %s; set region", s.bucket, at, r.Message)
	case "RequestTimeTooSkewed":
		return fmt.Errorf("the clocks of this machine and of the store differ too much %s; set the clock", at)
	case "XMinioStorageFull", "InsufficientStorage":
		return fmt.Errorf("the store is full %s: %s", at, r.Message)
	}
	if r.Code != "" && r.Message != "" {
		return fmt.Errorf("%s %s: %s", at, r.Code, strings.TrimSuffix(r.Message, "."))
	}
	return s.explainNetwork(err)
}

func (s *store) explainNetwork(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	cause := err
	var u *url.Error
	if errors.As(err, &u) {
		// Its text repeats the address of the object.
		cause = u.Err
	}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("no address for endpoint %s: %w; check its spelling and the network", s.endpoint, cause)
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("endpoint %s does not speak TLS; write http:// instead of https://", s.endpoint)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer in time from endpoint %s: %w", s.endpoint, cause)
	}
	return fmt.Errorf("cannot reach endpoint %s: %w; is the server running?", s.endpoint, cause)
}
