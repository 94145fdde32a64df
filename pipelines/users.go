package pipelines

import (
	"encoding/json"
	"errors"

	"github.com/millrace-io/millrace/engine/api/policy"
	"github.com/millrace-io/millrace/engine/api/users"
	"github.com/millrace-io/millrace/engine/config"
)

// userSpec is an entry of users.
type userSpec struct {
	// Policy says what the user may do: full-access, read-only, producer or consumer, or a policy document as AWS has
	// them. Without one, nothing.
	Policy policySpec `yaml:"policy"`
	// AccessKeys are those of the user, each with its secret.
	AccessKeys map[string]config.Secret `yaml:"access_keys"`
	// Certificates are names of client certificates that are the user's, besides the user's own name: common names, DNS
	// names, mail addresses or URIs.
	Certificates []string `yaml:"certificates"`
}

// policySpec is a policy as a file has it: a name, or a document.
type policySpec struct{ text string }

// DecodeNode implements config.NodeDecoder.
func (p *policySpec) DecodeNode(n *config.Node, d *config.Decoder) {
	var problems policy.Problems
	var problem *policy.Problem
	if n.Kind == config.Mapping {
		if _, err := policy.FromNode(policyNode(n), policy.Identity); errors.As(err, &problems) {
			for _, x := range problems {
				report(n, d, x)
			}
			return
		}
		text, err := json.Marshal(plain(n))
		if err != nil {
			d.Errorf(n, "%v", err)
		}
		p.text = string(text)
		return
	}
	p.text = n.Text()
	switch _, err := users.ParsePolicy(p.text); {
	case errors.As(err, &problems):
		for _, x := range problems {
			d.TextErrorf(n, x.Line, x.Column, "%s", x.Text)
		}
	case errors.As(err, &problem):
		d.TextErrorf(n, problem.Line, problem.Column, "%s", problem.Text)
	case err != nil:
		d.Errorf(n, "%v", err)
	}
}

// report finds the value or key at the place of a mistake.
func report(n *config.Node, d *config.Decoder, x *policy.Problem) bool {
	if n.Line == x.Line && n.Column == x.Column {
		d.Errorf(n, "%s", x.Text)
		return true
	}
	if n.KeyLine == x.Line && n.KeyColumn == x.Column {
		d.KeyErrorf(n, "%s", x.Text)
		return true
	}
	for _, list := range [][]*config.Node{n.Values, n.Items} {
		for _, inner := range list {
			if report(inner, d, x) {
				return true
			}
		}
	}
	return false
}

// JSONSchema implements config.Schemer.
func (*policySpec) JSONSchema(*config.Schemas) *config.Schema { return &config.Schema{} }

// policyNode is a document that stands in a file.
func policyNode(n *config.Node) policy.Node {
	out := policy.Node{Kind: policy.Text, Text: n.Text(), Line: n.Line, Column: n.Column}
	switch n.Kind {
	case config.Null:
		out.Kind = policy.Null
	case config.List:
		out.Kind = policy.List
		for _, item := range n.Items {
			out.Items = append(out.Items, policyNode(item))
		}
	case config.Mapping:
		out.Kind = policy.Object
		for i, v := range n.Values {
			out.Fields = append(out.Fields, policy.Field{Name: n.Keys[i], Value: policyNode(v), Line: v.KeyLine, Column: v.KeyColumn})
		}
	}
	return out
}

// plain is a document that was checked, for JSON.
func plain(n *config.Node) any {
	switch n.Kind {
	case config.List:
		list := []any{}
		for _, item := range n.Items {
			list = append(list, plain(item))
		}
		return list
	case config.Mapping:
		fields := map[string]any{}
		for i, v := range n.Values {
			fields[n.Keys[i]] = plain(v)
		}
		return fields
	}
	return n.Text()
}

// loadUser checks an entry of users.
func (l *loader) loadUser(e *config.Entry[userSpec]) {
	if err := users.CheckName(e.ID); err != nil {
		l.d.KeyErrorf(e.Node, "%v", err)
	}
	u := users.Fixed{Name: e.ID, Policy: e.Value.Policy.text, Certificates: e.Value.Certificates, Keys: map[string]string{}}
	for id, secret := range e.Value.AccessKeys {
		if id == "" || secret.Empty() {
			l.d.Errorf(e.Node, "access key %q needs a secret; write ID: ${env:SECRET}", id)
		}
		u.Keys[id] = secret.Reveal()
	}
	l.users = append(l.users, u)
}
