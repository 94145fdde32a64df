package kinesis

import (
	"context"
	"strings"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

// defaultKeyID is the service's own key.
const defaultKeyID = "alias/aws/kinesis"

type encryptionInput struct {
	target
	kind, key *string
}

var (
	encryptionRule = &wire.Rule{Required: true, Enum: []string{"NONE", "KMS"}}
	keyRule        = &wire.Rule{Required: true, Min: 1, Max: 2048}
)

func (in *encryptionInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Text("EncryptionType", &in.kind, encryptionRule)
	f.Text("KeyId", &in.key, keyRule)
}

func (in *encryptionInput) check() error {
	if *in.kind != "KMS" {
		return invalid("EncryptionType must be KMS.")
	}
	return nil
}

// startEncryption is StartStreamEncryption. The client's KeyId is noted and described; records are encrypted under the
// server's master key.
func (s *Service) startEncryption(ctx context.Context, in *encryptionInput) error {
	if err := in.check(); err != nil {
		return err
	}
	if s.o.MasterKey == nil {
		return &wire.Fault{Type: "KMSNotFoundException", Message: "This server has no master key."}
	}
	master, err := s.o.MasterKey()
	if err != nil {
		return err
	}
	return s.change(ctx, &in.target, func(st *stream.Stream) error {
		if err := s.sparingly("StartStreamEncryption", st, func() error { return st.Encrypt(ctx, master) }); err != nil {
			return err
		}
		return s.extras.change(ctx, st, func(e *extra) error { e.KeyID = *in.key; return nil })
	})
}

// stopEncryption is StopStreamEncryption. What is encrypted stays so, and readable. The key must be that of the stream,
// in any spelling; one that is not encrypted has none, and stays as it is, so that a repeated request succeeds.
func (s *Service) stopEncryption(ctx context.Context, in *encryptionInput) error {
	if err := in.check(); err != nil {
		return err
	}
	return s.change(ctx, &in.target, func(st *stream.Stream) error {
		e, err := s.extras.get(ctx, st)
		if err != nil {
			return err
		}
		kind, key := sight{Description: st.Describe(), extra: e}.encryption()
		if kind != "NONE" && bareKey(*in.key) != bareKey(key) {
			return invalid("Stream %s under account %s is not encrypted with key %s.", st.Name(), s.o.Account, *in.key)
		}
		if err := st.Decrypt(ctx); err != nil {
			return err
		}
		return s.extras.change(ctx, st, func(e *extra) error { e.KeyID = ""; return nil })
	})
}

// bareKey is the id of a key, or alias/ and the name of one, without the ARN around it (KMS, key identifiers). Region and
// account are not looked at, as in ARNs of streams.
func bareKey(id string) string {
	parts := strings.SplitN(id, ":", 6)
	if len(parts) == 6 && parts[0] == "arn" && parts[2] == "kms" {
		id = parts[5]
	}
	return strings.TrimPrefix(id, "key/")
}
