package bucket

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

// Use is what somebody does with a bucket: "write to" it, which needs rights.
type Use struct{ Verb, Rights string }

// Explain says what an error of the store means, and what to do about it. None of these is
// permanent: the cure may come while the caller waits.
func (c *Access) Explain(err error, use Use) error {
	endpoint := c.Endpoint
	at := fmt.Sprintf("(endpoint %s)", endpoint)
	r := minio.ToErrorResponse(err)
	switch r.Code {
	case minio.NoSuchBucket:
		// What was asked for may be in another bucket than the one that is configured.
		bucket := cmp.Or(r.BucketName, c.Bucket)
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
		return fmt.Errorf("the credentials may not %s bucket %q %s; allow them %s", use.Verb, c.Bucket, at, use.Rights)
	case minio.AuthorizationHeaderMalformed, "PermanentRedirect", minio.InvalidRegion, "IllegalLocationConstraintException":
		return fmt.Errorf("bucket %q is in another region %s: %s; set region", c.Bucket, at, r.Message)
	case "RequestTimeTooSkewed":
		return fmt.Errorf("the clocks of this machine and of the store differ too much %s; set the clock", at)
	case "XMinioStorageFull", "InsufficientStorage":
		return fmt.Errorf("the store is full %s: %s", at, r.Message)
	}
	if r.Code != "" && r.Message != "" {
		return fmt.Errorf("%s %s: %s", at, r.Code, strings.TrimSuffix(r.Message, "."))
	}
	return explainNetwork(err, endpoint)
}

func explainNetwork(err error, endpoint string) error {
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
		return fmt.Errorf("no address for endpoint %s: %w; check its spelling and the network", endpoint, cause)
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("endpoint %s does not speak TLS; write http:// instead of https://", endpoint)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer in time from endpoint %s: %w", endpoint, cause)
	}
	return fmt.Errorf("cannot reach endpoint %s: %w; is the server running?", endpoint, cause)
}
