package kinesis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/cert"
	"github.com/millrace-io/millrace/engine/api/door"
	"github.com/millrace-io/millrace/engine/api/kinesis"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
	"github.com/millrace-io/millrace/sources"
)

// settle is how long streams are CREATING, UPDATING and DELETING.
const settle = 500 * time.Millisecond

type source struct {
	cfg Config
	env sources.Env
}

// Bounded is sources.Source.
func (s *source) Bounded() bool { return false }

// Run is sources.Source. Clients name the stream, so the writer is not used.
func (s *source) Run(ctx context.Context, _ sources.Writer) error {
	if s.env.Streams == nil {
		return errors.New("the kinesis source needs a data directory")
	}
	service, err := kinesis.New(ctx, s.options())
	if err != nil {
		return stopped(ctx, err)
	}
	l, err := s.listen(ctx)
	if err != nil {
		return stopped(ctx, err)
	}
	scheme := "http://"
	if s.cfg.TLSCert != "" {
		scheme = "https://"
	}
	s.env.Log.Info("serving Kinesis Data Streams", "url", scheme+l.Addr().String(), "region", s.cfg.Region, "account", s.cfg.Account,
		"keys", len(s.cfg.AccessKeys), "export", "AWS_ENDPOINT_URL_KINESIS="+scheme+l.Addr().String())
	// What is under way when the pipeline stops is finished.
	return door.Serve(context.WithoutCancel(ctx), ctx.Done(), l, service, door.Options{Drain: service.EndSubscriptions, Log: s.env.Log})
}

// stopped is nil for an error that a stop made.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *source) listen(ctx context.Context) (net.Listener, error) {
	if s.cfg.TLSCert == "" {
		return door.Listen(ctx, s.cfg.Listen)
	}
	certificates, err := cert.Open(cert.Files{Certificate: s.cfg.TLSCert, Key: s.cfg.TLSKey}, s.env.Now, s.env.Log)
	if err != nil {
		return nil, err
	}
	l, err := door.Listen(ctx, s.cfg.Listen)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, certificates.Config()), nil
}

func (s *source) options() kinesis.Options {
	o := kinesis.Options{
		Streams: s.env.Streams, Verifier: s.verifier(), Account: s.cfg.Account, Region: s.cfg.Region, ShardQuota: s.cfg.ShardQuota,
		Settle: settle, Limits: stream.Limits(s.cfg.Limits), Memory: int64(s.cfg.MaxInFlight), Stored: s.env.Stored, Now: s.env.Now, Log: s.env.Log,
	}
	if s.cfg.Instant {
		o.Settle = 0
	}
	if s.cfg.MasterKey != "" {
		o.MasterKey = func() (string, error) { return master.AbsoluteSpec(s.cfg.MasterKey), nil }
	}
	return o
}

func (s *source) verifier() *auth.Verifier {
	v := &auth.Verifier{Mode: auth.Open, Service: "kinesis", Now: s.env.Now}
	if len(s.cfg.AccessKeys) > 0 {
		keys := auth.Static{}
		for key, secret := range s.cfg.AccessKeys {
			keys[key] = secret.Reveal()
		}
		v.Mode, v.Users = auth.Keys, keys
	}
	return v
}
