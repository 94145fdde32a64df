package kinesis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/api/audit"
	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/cert"
	"github.com/millrace-io/millrace/engine/api/door"
	"github.com/millrace-io/millrace/engine/api/kinesis"
	"github.com/millrace-io/millrace/engine/api/users"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
	"github.com/millrace-io/millrace/sources"
)

// settle is how long streams are CREATING, UPDATING and DELETING.
const settle = 500 * time.Millisecond

type source struct {
	cfg Config
	env sources.Env
	// data is the directory, and declared are the users of the file.
	data     string
	declared []users.Fixed
}

// Guard says who may send requests: the users of the file, and those of the data directory. Without any, everybody may
// whom the address lets in.
func (s *source) Guard(data string, declared []users.Fixed) { s.data, s.declared = data, declared }

// Bounded is sources.Source.
func (s *source) Bounded() bool { return false }

// Run is sources.Source. Clients name the stream, so the writer is not used.
func (s *source) Run(ctx context.Context, _ sources.Writer) error {
	if s.env.Streams == nil || s.data == "" {
		return errors.New("the kinesis source needs a data directory")
	}
	verifier, err := s.verifier(ctx)
	if err != nil {
		return stopped(ctx, err)
	}
	log, err := audit.Open(filepath.Join(s.data, "audit", "audit.log"), audit.Options{})
	if err != nil {
		return stopped(ctx, err)
	}
	return errors.Join(s.serve(ctx, verifier, log), log.Close())
}

func (s *source) serve(ctx context.Context, v *auth.Verifier, log *audit.Log) error {
	service, err := kinesis.New(ctx, s.options(v, log))
	if err != nil {
		return stopped(ctx, err)
	}
	l, err := s.listen(ctx)
	if err != nil {
		return stopped(ctx, err)
	}
	url := "http://" + l.Addr().String()
	if s.cfg.encrypted() {
		url = "https://" + l.Addr().String()
	}
	s.env.Log.Info("serving Kinesis Data Streams", "url", url, "region", s.cfg.Region, "account", s.cfg.Account,
		"clients", v.Demands(), "export", "AWS_ENDPOINT_URL_KINESIS="+url)
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
	if !s.cfg.encrypted() {
		return door.Listen(ctx, s.cfg.Listen)
	}
	certificates, err := s.certificates()
	if err != nil {
		return nil, err
	}
	l, err := door.Listen(ctx, s.cfg.Listen)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, certificates.Config()), nil
}

// certificates are those of the configuration, or one that is made once for the data directory.
func (s *source) certificates() (*cert.Server, error) {
	files, made := cert.Files{Certificate: s.cfg.TLSCert, Key: s.cfg.TLSKey}, false
	if s.cfg.auto() {
		dir, err := filepath.Abs(filepath.Join(s.data, "tls"))
		if err != nil {
			return nil, err
		}
		if files, made, err = cert.Auto(dir, cert.HostNames(s.cfg.Listen, s.cfg.TLSNames...), s.env.Now()); err != nil {
			return nil, err
		}
	}
	files.ClientCA = s.cfg.ClientCA
	certificates, err := cert.Open(files, s.env.Now, s.env.Log)
	if err == nil && made {
		// Nobody gets in before somebody has done something.
		s.env.Log.Warn("a new certificate was made; clients must be told to trust it, for example by AWS_CA_BUNDLE", "certificate", files.Certificate, "sha256", certificates.Fingerprint())
	}
	return certificates, err
}

func (s *source) options(v *auth.Verifier, log *audit.Log) kinesis.Options {
	o := kinesis.Options{
		Streams: s.env.Streams, Verifier: v, Account: s.cfg.Account, Region: s.cfg.Region, ShardQuota: s.cfg.ShardQuota,
		Settle: settle, Limits: stream.Limits(s.cfg.Limits), Memory: int64(s.cfg.MaxInFlight), AnyOrigin: s.cfg.Insecure, Stored: s.env.Stored, Audit: log, Now: s.env.Now, Log: s.env.Log,
	}
	if s.cfg.Instant {
		o.Settle = 0
	}
	if s.cfg.MasterKey != "" {
		o.MasterKey = func() (string, error) { return master.AbsoluteSpec(s.cfg.MasterKey), nil }
	}
	return o
}

// verifier tells who sends requests. Where that is nobody's question, only this machine may ask.
func (s *source) verifier(ctx context.Context) (*auth.Verifier, error) {
	directory, err := users.Open(ctx, s.data, users.Options{Masters: s.masters, Fixed: s.declared, Now: s.env.Now, Log: s.env.Log})
	if err != nil {
		return nil, err
	}
	v := &auth.Verifier{Mode: s.cfg.mode(), Service: "kinesis", Users: directory, Now: s.env.Now}
	if s.cfg.Exposed() && v.Demands() == auth.Open {
		return nil, fmt.Errorf("other machines reach %s, and there are no users; add users: to the file, or insecure: true if everybody may do anything", s.cfg.Listen)
	}
	if v.Demands() != auth.Open && !directory.Any() {
		s.env.Log.Warn("there are no users yet, so all requests are refused; add users: to the file, or make one by `millrace user add`")
	}
	return v, nil
}

// masters are the keys that open the secrets of the data directory's users.
func (s *source) masters() (keys []seal.MasterKey, err error) {
	spec := s.cfg.MasterKey
	if spec == "" {
		data, err := filepath.Abs(s.data)
		if err != nil {
			return nil, err
		}
		spec = "file:" + data + ".key"
	}
	for _, one := range strings.Fields(spec) {
		k, err := master.Open(one, master.Options{})
		if err != nil {
			return nil, fmt.Errorf("%w; name it as master_key, or bring the key file back", err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}
