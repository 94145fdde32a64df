package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// Problem is a mistake in a document, at a line and column from 1.
type Problem struct {
	Line, Column int
	Text         string
}

func (p *Problem) Error() string { return fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Text) }

// Problems are all mistakes of a document, in their order.
type Problems []*Problem

func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i := range p {
		texts[i] = p[i].Error()
	}
	return strings.Join(texts, "; ")
}

// maxProblems is how many mistakes are reported, so that a large document gets no large answer.
const maxProblems = 10

// Parse reads a document in JSON. Errors: *Problem, Problems.
func Parse(text string, kind Kind) (*Document, error) {
	n, err := read(text)
	if err != nil {
		return nil, err
	}
	return FromNode(n, kind)
}

// FromNode reads a document that somebody else took apart. Error: Problems.
func FromNode(n Node, kind Kind) (*Document, error) {
	p := &parser{kind: kind}
	d := p.document(n)
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return d, nil
}

type parser struct {
	kind     Kind
	problems Problems
	// expand says that the version knows variables.
	expand bool
}

func (p *parser) fail(n Node, format string, args ...any) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, &Problem{n.Line, n.Column, fmt.Sprintf(format, args...)})
	}
}

// object walks the fields of an object; visit says false for one that is not known.
func (p *parser) object(n Node, what, known string, visit func(f Field) bool) {
	if n.Kind != Object {
		p.fail(n, "%s must be an object", what)
		return
	}
	seen := map[string]bool{}
	for _, f := range n.Fields {
		at := Node{Line: f.Line, Column: f.Column}
		if seen[f.Name] {
			p.fail(at, "%q is there twice", f.Name)
			continue
		}
		seen[f.Name] = true
		if !visit(f) {
			p.fail(at, "unknown element %q; %s has %s", f.Name, what, known)
		}
	}
}

// Versions of the language. The older one, which is meant when none is given, knows no variables.
const (
	version     = "2012-10-17"
	oldVersion  = "2008-10-17"
	knownFields = "Sid, Effect, Principal, Action, NotAction, Resource, NotResource and Condition"
)

func (p *parser) document(n Node) *Document {
	d := &Document{}
	var list []Node
	p.object(n, "a policy", "Version, Id and Statement", func(f Field) bool {
		switch f.Name {
		case "Version":
			if f.Value.Text != version && f.Value.Text != oldVersion {
				p.fail(f.Value, "Version must be %q", version)
			}
			p.expand = f.Value.Text == version
		case "Id":
			p.text(f.Value, "Id")
		case "Statement":
			list = []Node{f.Value}
			if f.Value.Kind == List {
				list = f.Value.Items
			}
		default:
			return false
		}
		return true
	})
	if len(list) == 0 && len(p.problems) == 0 {
		p.fail(n, "a policy needs at least one Statement")
	}
	for _, s := range list {
		d.statements = append(d.statements, p.statement(s))
	}
	return d
}

func (p *parser) statement(n Node) (s statement) {
	var effect, action, resource, principal bool
	once := func(f Field, done *bool, names string) {
		if *done {
			p.fail(f.Value, "a statement has either %s", names)
		}
		*done = true
	}
	p.object(n, "a statement", knownFields, func(f Field) bool {
		switch f.Name {
		case "Sid":
			p.text(f.Value, "Sid")
		case "Effect":
			effect = true
			if f.Value.Text != "Allow" && f.Value.Text != "Deny" {
				p.fail(f.Value, `Effect must be "Allow" or "Deny"`)
			}
			s.deny = f.Value.Text == "Deny"
		case "Action", "NotAction":
			once(f, &action, "Action or NotAction")
			s.notActions = f.Name == "NotAction"
			s.actions = p.actions(f)
		case "Resource", "NotResource":
			once(f, &resource, "Resource or NotResource")
			s.notResources = f.Name == "NotResource"
			s.resources = p.resources(f)
		case "Principal":
			principal = true
			s.principals = p.principals(f.Value)
		case "Condition":
			s.conditions = p.conditions(f.Value)
		default:
			return false
		}
		return true
	})
	for _, need := range []struct {
		there bool
		name  string
	}{{effect, "Effect"}, {action, "Action or NotAction"}, {resource, "Resource or NotResource"}, {principal || p.kind == Identity, "Principal"}} {
		if !need.there && n.Kind == Object {
			p.fail(n, "a statement needs %s", need.name)
		}
	}
	if principal && p.kind == Identity {
		p.fail(n, "the policy of a user has no Principal: it is about that user")
	}
	return s
}

func (p *parser) text(n Node, what string) {
	if n.Kind != Text {
		p.fail(n, "%s must be a string", what)
	}
}

// texts are the strings of a value that is one or a list of them.
func (p *parser) texts(n Node, what string) (list []Node) {
	items := []Node{n}
	if n.Kind == List {
		items = n.Items
	}
	if len(items) == 0 {
		p.fail(n, "%s is empty", what)
	}
	for _, item := range items {
		if item.Kind != Text {
			p.fail(item, "%s must be a string or a list of strings", what)
			continue
		}
		list = append(list, item)
	}
	return list
}

func (p *parser) actions(f Field) (list []pattern) {
	for _, n := range p.texts(f.Value, f.Name) {
		if service, name, ok := strings.Cut(n.Text, ":"); n.Text != "*" && (!ok || service == "" || name == "") {
			p.fail(n, "action %q must be prefaced by its service, for example kinesis:%s", n.Text, n.Text)
			continue
		}
		a, err := compile(strings.ToLower(n.Text), true, false)
		if err != nil {
			p.fail(n, "%v", err)
		}
		a.text = n.Text
		list = append(list, a)
	}
	return list
}

func (p *parser) resources(f Field) (list []arnPattern) {
	for _, n := range p.texts(f.Value, f.Name) {
		a, err := compileARN(n.Text, p.expand)
		if err != nil {
			p.fail(n, "resource: %v", err)
			continue
		}
		list = append(list, a)
	}
	return list
}

// principalForm is what a principal looks like: everybody, an account, or something of IAM. It does not change.
var principalForm = regexp.MustCompile(`^(\*|\d{12}|arn:aws[a-z-]*:(iam|sts)::\d{12}:[^*?]+)$`)

func (p *parser) principals(n Node) []string {
	list := []string{}
	if n.Kind == Text {
		if n.Text != "*" {
			p.fail(n, `Principal must be "*" or an object such as {"AWS": "arn:aws:iam::000000000000:user/alice"}`)
		}
		return []string{n.Text}
	}
	p.object(n, "Principal", "AWS", func(f Field) bool {
		if f.Name != "AWS" {
			return false
		}
		for _, item := range p.texts(f.Value, "Principal") {
			if !principalForm.MatchString(item.Text) {
				p.fail(item, `principal %q is none: want "*", an account id, or the ARN of a user, without wildcards`, item.Text)
			}
			list = append(list, item.Text)
		}
		return true
	})
	if len(list) == 0 && n.Kind == Object && len(n.Fields) == 0 {
		p.fail(n, "Principal is empty")
	}
	return list
}

func (p *parser) conditions(n Node) (list []condition) {
	p.object(n, "Condition", "operators", func(operator Field) bool {
		p.object(operator.Value, operator.Name, "condition keys", func(f Field) bool {
			var values []string
			for _, value := range p.texts(f.Value, f.Name) {
				values = append(values, value.Text)
			}
			if len(values) == 0 {
				return true // it was said
			}
			c, err := newCondition(operator.Name, f.Name, values, p.expand)
			if err != nil {
				p.fail(Node{Line: f.Line, Column: f.Column}, "%v", err)
				return true
			}
			list = append(list, c)
			return true
		})
		return true
	})
	return list
}
