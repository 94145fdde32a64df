// Package policy reads policy documents in the language of AWS and tells by them who may do what: those of users
// (identity policies) and those of streams and consumers (resource policies).
//
// The invariant to remember: nobody may do anything unless a statement allows it, and one that denies it wins over
// all that allow. What this package does not understand it refuses to read: an element that is passed over could be
// the one that denies.
package policy

import (
	"net/netip"
	"strings"
	"time"
)

// Kind of a document.
type Kind int

const (
	// Identity is the kind of a user's: it has no Principal.
	Identity Kind = iota
	// Resource is the kind of a stream's or consumer's: every statement has a Principal.
	Resource
)

// MaxDocument is the size of a document in bytes (Kinesis API: 20 KB).
const MaxDocument = 20 << 10

// Caller is who asks.
type Caller struct {
	// User is the name, Account the 12 digits of the account.
	User, Account string
}

// ARN is the caller's.
func (c Caller) ARN() string { return "arn:aws:iam::" + c.Account + ":user/" + c.User }

// Request is what somebody wants to do.
type Request struct {
	Caller
	// Action with its service, for example kinesis:PutRecord.
	Action string
	// Resource is an ARN, or * for what is about no resource.
	Resource string
	// SourceIP is the address of the client, Secure whether it speaks TLS.
	SourceIP netip.Addr
	Secure   bool
	// Region that the client believes to speak to.
	Region string
	Time   time.Time
}

// Document is one that was read. It does not change, and any goroutine may use it.
type Document struct{ statements []statement }

type statement struct {
	deny bool
	// principals are nil in an identity policy.
	principals []string
	actions    []pattern
	notActions bool
	resources  []arnPattern
	// notResources says that the resources are those which the statement is not about.
	notResources bool
	conditions   []condition
}

// reach is how a statement is about a caller.
type reach int

const (
	unreached reach = iota
	// delegated: it names the account, which leaves it to the policy of the user.
	delegated
	// direct: it names the user, or everybody.
	direct
)

func (s *statement) reaches(c *Caller) reach {
	if s.principals == nil {
		return direct
	}
	found := unreached
	for _, p := range s.principals {
		switch p {
		case "*":
			return direct
		case c.Account, "arn:aws:iam::" + c.Account + ":root":
			found = delegated
		default:
			if p == c.ARN() {
				return direct
			}
		}
	}
	return found
}

// matches reports whether a statement is about what is asked. action is the request's in lower case.
func (s *statement) matches(r *Request, action string) bool {
	found := false
	for _, p := range s.actions {
		found = found || p.match(action, r)
	}
	if found == s.notActions {
		return false
	}
	found = false
	for _, p := range s.resources {
		found = found || p.match(r.Resource, r)
	}
	if found == s.notResources {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(r) {
			return false
		}
	}
	return true
}

// evaluate reports whether a document denies what is asked, and whether it allows it.
func (d *Document) evaluate(r *Request, action string) (denied, allowed bool) {
	if d == nil {
		return false, false
	}
	for i := range d.statements {
		s := &d.statements[i]
		how := s.reaches(&r.Caller)
		if how == unreached || !s.matches(r, action) {
			continue
		}
		if s.deny {
			return true, false
		}
		allowed = allowed || how == direct
	}
	return false, allowed
}

// Decision is the answer to a request.
type Decision int

// The decisions. The zero one is the default: it was not allowed.
const (
	NotAllowed Decision = iota
	Allowed
	DeniedByIdentity
	DeniedByResource
)

// Decide joins the policies of a caller and of a resource of the same account (AWS, policy evaluation logic): what
// either denies is denied, and what either allows is allowed otherwise. Nil is a policy that is not there.
func Decide(r *Request, identity, resource *Document) Decision {
	action := strings.ToLower(r.Action)
	denied, allowed := identity.evaluate(r, action)
	if denied {
		return DeniedByIdentity
	}
	denied, granted := resource.evaluate(r, action)
	switch {
	case denied:
		return DeniedByResource
	case allowed || granted:
		return Allowed
	}
	return NotAllowed
}

// Refusal is the text with which AWS answers what is not allowed.
func (d Decision) Refusal(r *Request) string {
	text := "User: " + r.ARN() + " is not authorized to perform: " + r.Action + " on resource: " + r.Resource
	switch d {
	case DeniedByIdentity:
		return text + " with an explicit deny in an identity-based policy"
	case DeniedByResource:
		return text + " with an explicit deny in a resource-based policy"
	}
	return text + " because no identity-based policy allows the " + r.Action + " action"
}

// Unknown are the actions of a service that statements name and that match none of those there are: mistyped ones,
// perhaps. actions are the names without the service.
func (d *Document) Unknown(service string, actions []string) (unknown []string) {
	for _, s := range d.statements {
		for _, p := range s.actions {
			if !strings.HasPrefix(p.text, service+":") {
				continue
			}
			found := false
			for _, a := range actions {
				found = found || p.match(strings.ToLower(service+":"+a), &Request{})
			}
			if !found {
				unknown = append(unknown, p.text)
			}
		}
	}
	return unknown
}
