package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace-io/millrace/engine/api/kinesis"
	"github.com/millrace-io/millrace/engine/api/policy"
	"github.com/millrace-io/millrace/engine/api/users"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
)

// userCommand is `millrace user`.
type userCommand struct {
	Add         userAdd         `cmd:"" help:"Make a user with an access key."`
	List        userList        `cmd:"" help:"List the users, their policies and keys."`
	Policy      userPolicy      `cmd:"" help:"Show or change what a user may do."`
	Certificate userCertificate `cmd:"" help:"Say by which names of client certificates a user is known, besides the user's own."`
	Rotate      userRotate      `cmd:"" help:"Make another access key for a user. The former one stays good for a while."`
	Remove      userRemove      `cmd:"" help:"Remove a user, or one access key."`
	Rewrap      userRewrap      `cmd:"" help:"Seal all secrets with what the master key is now, after it was changed."`
}

// Help is printed below the usage.
func (userCommand) Help() string {
	return `Users are kept in DIR/access/users.json; a server that runs on the directory follows within a second. From the first user
on, millrace serve verifies signatures. Policies: ` + policy.Names() + `, or a document as AWS has them.

Example:
  millrace user add alice --policy read-only
  millrace user policy alice @alice.json
  millrace user rotate alice --grace 48h`
}

// userFlags are what all of them need.
type userFlags struct {
	Data      string `help:"Data directory." default:"millrace-data" placeholder:"DIR"`
	MasterKey string `help:"Master key that seals secrets, as docs/encryption.md has it; without one, the key file beside the data directory, which is made when it is first needed." placeholder:"KEY"`
}

func (f *userFlags) store() *users.Store {
	return &users.Store{Data: f.Data, Now: time.Now, Master: func() (seal.MasterKey, error) {
		spec, err := masterKeyOf(f.MasterKey, f.Data)
		if err != nil {
			return nil, err
		}
		keys, err := openMasters(spec)
		if err != nil {
			return nil, err
		}
		return keys[0], nil
	}}
}

// openMasters opens the master keys of a setting, of which the first seals.
func openMasters(spec string) (keys []seal.MasterKey, err error) {
	if err := master.CheckSpec(spec); err != nil {
		return nil, err
	}
	for _, one := range strings.Fields(spec) {
		k, err := master.Open(one, master.Options{})
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// userMistake marks errors that are the caller's, for the exit code.
func userMistake(err error) error {
	if errors.Is(err, users.ErrNotFound) || errors.Is(err, users.ErrExists) {
		return usageError{err}
	}
	return err
}

// policyText is what an argument says: the name of a policy, a document, or @FILE with one.
func policyText(a *app, arg string) (string, error) {
	text, place := arg, ""
	if file, ok := strings.CutPrefix(arg, "@"); ok {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", usageError{fmt.Errorf("read policy: %w", err)}
		}
		text, place = string(b), file+":"
	}
	d, err := users.ParsePolicy(text)
	if err != nil {
		return "", usageError{fmt.Errorf("policy: %s%w; @FILE reads one from a file", place, err)}
	}
	if d != nil {
		for _, action := range d.Unknown("kinesis", kinesis.Actions()) {
			fmt.Fprintf(a.stderr, "warning: policy: there is no action that matches %s\n", action)
		}
	}
	return text, nil
}

type userAdd struct {
	userFlags
	Name        string   `arg:"" help:"User."`
	Policy      string   `help:"What the user may do: the name of a policy, @FILE, or a document in JSON. Without one, nothing until a policy says so." placeholder:"POLICY"`
	Certificate []string `help:"Name of a client certificate that is the user's, besides the user's own name: common name, DNS name, mail address or URI." placeholder:"NAME"`
	NoKey       bool     `help:"Make no access key: the user is known by certificate alone."`
}

// Run makes a user.
func (c *userAdd) Run(a *app) error {
	text, err := policyText(a, c.Policy)
	if err != nil {
		return err
	}
	if err := users.CheckName(c.Name); err != nil {
		return usageError{err}
	}
	made, err := c.store().Add(context.Background(), users.User{Name: c.Name, Policy: text, Certificates: c.Certificate}, !c.NoKey)
	if err != nil {
		return userMistake(err)
	}
	fmt.Fprintf(a.stdout, "user %s may do: %s\n", c.Name, policyName(text))
	if !c.NoKey {
		printKey(a, made)
	}
	return nil
}

// printKey prints a key with its secret.
func printKey(a *app, made users.Made) {
	fmt.Fprintf(a.stdout, "The secret is shown this once:\n  export AWS_ACCESS_KEY_ID=%s\n  export AWS_SECRET_ACCESS_KEY=%s\n", made.ID, made.Secret)
}

// policyName is a policy on one line.
func policyName(text string) string {
	switch _, named := policy.Named(text); {
	case text == "":
		return "nothing"
	case named:
		return text
	}
	return "a document of its own"
}

type userList struct {
	userFlags
	JSON bool `name:"json" help:"Print as JSON, with policies, without secrets."`
}

// Run lists the users.
func (c *userList) Run(a *app) error {
	list, err := c.store().List()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "there are no users; millrace user add NAME --policy read-only makes one")
		return nil
	}
	tw := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "USER\tMAY DO\tACCESS KEYS\tCERTIFICATES")
	for _, u := range list {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", u.Name, policyName(u.Policy), keysText(u.Keys, time.Now()), strings.Join(u.Certificates, ", "))
	}
	return tw.Flush()
}

func keysText(keys []users.Key, now time.Time) string {
	var texts []string
	for _, k := range keys {
		switch {
		case k.Expires.IsZero():
			texts = append(texts, k.ID)
		case k.Good(now):
			texts = append(texts, fmt.Sprintf("%s (until %s)", k.ID, k.Expires.Format(time.RFC3339)))
		default:
			texts = append(texts, k.ID+" (expired)")
		}
	}
	return strings.Join(texts, ", ")
}

type userPolicy struct {
	userFlags
	Name   string  `arg:"" help:"User."`
	Policy *string `arg:"" optional:"" help:"Name of a policy, @FILE, a document in JSON, or none. Without it, the policy is printed."`
}

// Run shows or changes a policy.
func (c *userPolicy) Run(a *app) error {
	if c.Policy == nil {
		return c.print(a)
	}
	text := ""
	if *c.Policy != "none" {
		var err error
		if text, err = policyText(a, *c.Policy); err != nil {
			return err
		}
	}
	if err := c.store().SetPolicy(context.Background(), c.Name, text); err != nil {
		return userMistake(err)
	}
	fmt.Fprintf(a.stdout, "user %s may do: %s\n", c.Name, policyName(text))
	return nil
}

func (c *userPolicy) print(a *app) error {
	list, err := c.store().List()
	if err != nil {
		return err
	}
	for _, u := range list {
		if u.Name != c.Name {
			continue
		}
		text := u.Policy
		if named, ok := policy.Named(text); ok {
			text = named
		}
		fmt.Fprintln(a.stdout, text)
		return nil
	}
	return usageError{fmt.Errorf("user %s: %w", c.Name, users.ErrNotFound)}
}

type userCertificate struct {
	userFlags
	Name         string   `arg:"" help:"User."`
	Certificates []string `arg:"" optional:"" help:"Common names, DNS names, mail addresses or URIs; none leaves the user's own name."`
}

// Run changes the certificates.
func (c *userCertificate) Run(a *app) error {
	if err := c.store().SetCertificates(context.Background(), c.Name, c.Certificates); err != nil {
		return userMistake(err)
	}
	fmt.Fprintf(a.stdout, "user %s is known by client certificates for %s\n", c.Name, strings.Join(append([]string{c.Name}, c.Certificates...), ", "))
	return nil
}

type userRotate struct {
	userFlags
	Name  string        `arg:"" help:"User."`
	Grace time.Duration `help:"How long the former key stays good; 0 ends it now." default:"24h"`
}

// Run makes another key.
func (c *userRotate) Run(a *app) error {
	if c.Grace < 0 {
		return usageError{fmt.Errorf("--grace %v is before now", c.Grace)}
	}
	made, err := c.store().Rotate(context.Background(), c.Name, c.Grace)
	if err != nil {
		return userMistake(err)
	}
	fmt.Fprintf(a.stdout, "user %s has another access key; the former one is good until %s\n", c.Name, time.Now().Add(c.Grace).UTC().Format(time.RFC3339))
	printKey(a, made)
	return nil
}

type userRemove struct {
	userFlags
	Name string `arg:"" help:"User."`
	Key  string `help:"Remove this access key alone." placeholder:"ID"`
}

// Run removes a user or a key.
func (c *userRemove) Run(a *app) error {
	if err := c.store().Remove(context.Background(), c.Name, c.Key); err != nil {
		return userMistake(err)
	}
	what := "user " + c.Name
	if c.Key != "" {
		what = "access key " + c.Key
	}
	fmt.Fprintln(a.stdout, what, "is removed")
	return nil
}

type userRewrap struct{ userFlags }

// Run seals the secrets anew.
func (c *userRewrap) Run(a *app) error {
	spec, err := masterKeyOf(c.MasterKey, c.Data)
	if err != nil {
		return err
	}
	masters, err := openMasters(spec)
	if err != nil {
		return err
	}
	n, err := c.store().Rewrap(context.Background(), masters)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "sealed with master key %s: %s\n", masters[0].ID(), some(int64(n), "secret"))
	return nil
}
