package s3

import "github.com/millrace-io/millrace/engine/bucket"

// explain says what an error of the store means, and what to do about it.
func (s *store) explain(err error) error {
	at := bucket.Access{Endpoint: s.endpoint, Bucket: s.bucket}
	return at.Explain(err, bucket.Use{Verb: "write to", Rights: "s3:PutObject and s3:GetObject below the prefix"})
}
