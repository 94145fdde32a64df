package kinesis

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/millrace-io/millrace/engine/api/audit"
	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/policy"
	"github.com/millrace-io/millrace/engine/api/wire"
)

// call is a request that is being answered.
type call struct {
	s *Service
	// id is what the client is told, operation what it asks for; empty as long as that is not known.
	id, operation string
	who           auth.Identity
	// known says that who sent it was asked and is settled.
	known  bool
	from   netip.Addr
	secure bool
	// resource is what it is about, once that was looked at.
	resource string
}

func (s *Service) newCall(r *http.Request, id string) *call {
	c := &call{s: s, id: id, secure: r.TLS != nil}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.from = from.Addr().Unmap()
	}
	return c
}

// verify settles who sent the request.
func (c *call) verify(r *http.Request, body []byte) error {
	var wrong *wire.Fault
	if c.who, wrong = c.s.o.Verifier.Check(r, body); wrong != nil {
		return wrong
	}
	c.known = true
	return nil
}

// precheck refuses, by the header alone, who verify would refuse whatever follows.
func (c *call) precheck(r *http.Request) *wire.Fault {
	who, wrong := c.s.o.Verifier.Precheck(r)
	if wrong != nil {
		c.who = auth.Identity{AccessKey: who.AccessKey}
		// record leaves out what is no operation.
		c.operation = strings.TrimPrefix(r.Header.Get("X-Amz-Target"), prefix)
	}
	return wrong
}

// allow refuses what the sender has no right to. It is asked before anything is looked at: who has no right does not
// learn whether a stream exists.
func (c *call) allow(ctx context.Context, in aimed) error {
	if c.who.User == nil && (rights[c.operation].data || c.s.o.Audit == nil) {
		return nil
	}
	a, err := in.aim(ctx, c.s)
	if err != nil {
		return err
	}
	c.resource = a.resource(c.s)
	if c.who.User == nil {
		return nil
	}
	text, err := c.s.policyOf(ctx, a)
	if err != nil {
		return err
	}
	if c.who.User.Owner && c.cures() {
		// A policy that denies everybody everything must not be the last one.
		text = ""
	}
	resource, err := c.s.policies.parsed(text)
	if err != nil && !c.cures() {
		return &wire.Fault{Type: "AccessDeniedException", Message: "The resource policy of " + c.resource + " cannot be read, so nobody may use it until PutResourcePolicy replaces it: " + err.Error()}
	}
	if err := c.decide(c.operation, c.resource, resource); err != nil || a.also == "" {
		return err
	}
	return c.decide(a.also, a.on, nil)
}

// again is allow for a request that has been answered for a while: its sender may have lost the key, or the right.
func (c *call) again(ctx context.Context, r *http.Request, in aimed) error {
	who, wrong := c.s.o.Verifier.Again(r, c.who)
	if wrong != nil {
		return wrong
	}
	c.who = who
	return c.allow(ctx, in)
}

// cures reports whether the operation is how a policy that is broken, or locks everybody out, is seen and replaced.
func (c *call) cures() bool {
	return c.operation == "GetResourcePolicy" || c.operation == "PutResourcePolicy" || c.operation == "DeleteResourcePolicy"
}

func (c *call) decide(action, on string, resource *policy.Document) error {
	r := policy.Request{
		Caller: policy.Caller{User: c.who.User.Name, Account: c.s.o.Account}, Action: "kinesis:" + action, Resource: on,
		SourceIP: c.from, Secure: c.secure, Region: c.who.Region, Time: c.s.o.Now(),
	}
	d := policy.Decide(&r, c.who.User.Policy, resource)
	if d == policy.Allowed {
		return nil
	}
	return &wire.Fault{Type: "AccessDeniedException", Message: d.Refusal(&r)}
}

// record puts the call into the audit log, if it belongs there. One about records does when its sender was not known,
// or had no right.
func (c *call) record(f *wire.Fault) {
	right, ok := rights[c.operation]
	refused := f != nil && (!c.known || f.Type == "AccessDeniedException")
	if c.s.o.Audit == nil || !ok || right.data && !refused {
		return
	}
	e := audit.Entry{
		Time: c.s.o.Now().UTC(), RequestID: c.id, AccessKey: c.who.AccessKey, Verified: c.known && c.who.User != nil, From: c.from.String(), TLS: c.secure,
		Action: "kinesis:" + c.operation, Resource: c.resource, Change: right.change, Outcome: "ok", Records: right.data,
	}
	if c.who.User != nil {
		e.User = c.who.User.Name
	}
	if f != nil {
		e.Outcome = f.Type
	}
	if err := c.s.o.Audit.Record(e); err != nil {
		c.s.o.Log.Error("the audit log lacks a call", "id", c.id, "action", e.Action, "error", err)
	}
}

// maxPolicies bounds the texts whose documents are kept as they were read, in bytes. A document takes several times as
// much as its text.
const maxPolicies = 2 << 20

// policies are resource policies as they were read, by their texts.
type policies struct {
	mu   sync.RWMutex // guards what follows
	list map[string]*policy.Document
	// size of the texts.
	size int
}

// parsed is a document; nil for an empty text.
func (x *policies) parsed(text string) (*policy.Document, error) {
	if text == "" {
		return nil, nil
	}
	x.mu.RLock()
	d := x.list[text]
	x.mu.RUnlock()
	if d != nil {
		return d, nil
	}
	d, err := policy.Parse(text, policy.Resource)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.list == nil || x.size+len(text) > maxPolicies {
		x.list, x.size = map[string]*policy.Document{}, 0
	}
	if x.list[text] == nil {
		x.size += len(text)
	}
	x.list[text] = d
	return d, nil
}
