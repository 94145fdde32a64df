package kinesis

import (
	"context"

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

// stopEncryption is StopStreamEncryption. What is encrypted stays so, and readable.
func (s *Service) stopEncryption(ctx context.Context, in *encryptionInput) error {
	if err := in.check(); err != nil {
		return err
	}
	return s.change(ctx, &in.target, func(st *stream.Stream) error { return st.Decrypt(ctx) })
}
