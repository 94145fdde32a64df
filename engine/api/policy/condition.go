package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// key is something that conditions and variables ask about a request.
type key int

const (
	userName key = iota
	principalARN
	principalAccount
	principalType
	sourceIP
	secureTransport
	currentTime
	epochTime
	requestedRegion
	resourceAccount
	keys
)

// keyNames are the global condition keys of AWS that are known here.
var keyNames = [keys]string{
	"aws:username", "aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalType", "aws:SourceIp", "aws:SecureTransport",
	"aws:CurrentTime", "aws:EpochTime", "aws:RequestedRegion", "aws:ResourceAccount",
}

// keyOf finds a key by its name, whose case does not count.
func keyOf(name string) (key, bool) {
	for k, known := range keyNames {
		if strings.EqualFold(name, known) {
			return key(k), true
		}
	}
	return 0, false
}

func knownKeys() string { return strings.Join(keyNames[:], ", ") }

// of is the value in a request; ok is false when there is none.
func (k key) of(r *Request) (value string, ok bool) {
	switch k {
	case userName:
		value = r.User
	case principalARN:
		value = r.ARN()
	case principalAccount:
		value = r.Account
	case principalType:
		value = "User"
	case sourceIP:
		if !r.SourceIP.IsValid() {
			return "", false
		}
		value = r.SourceIP.Unmap().WithZone("").String()
	case secureTransport:
		value = strconv.FormatBool(r.Secure)
	case currentTime:
		value = r.Time.UTC().Format(time.RFC3339)
	case epochTime:
		value = strconv.FormatInt(r.Time.Unix(), 10)
	case requestedRegion:
		value = r.Region
	case resourceAccount:
		if parts := strings.SplitN(r.Resource, ":", arnParts); len(parts) == arnParts {
			value = parts[4]
		}
	}
	return value, value != ""
}

// condition is one key of an operator: it holds when the test does for one of the values, or with negated for none.
type condition struct {
	key     key
	tests   []test
	negated bool
	// ifExists lets it hold when the request has no such value; without it, only a negated one does.
	ifExists bool
	// null is set for the operator Null, which asks whether there is a value.
	null *bool
}

// test holds a value of a request against one of a condition.
type test func(value string, r *Request) bool

func (c *condition) holds(r *Request) bool {
	value, present := c.key.of(r)
	if c.null != nil {
		return present != *c.null
	}
	if !present {
		return c.ifExists || c.negated
	}
	for _, t := range c.tests {
		if t(value, r) {
			return !c.negated
		}
	}
	return c.negated
}

// operator makes the tests of its values.
type operator struct {
	negated bool
	// about are the keys that it can ask about; nil means any.
	about []key
	test  func(value string, expand bool) (test, error)
}

// operatorOf finds an operator by its name, without IfExists.
func operatorOf(name string) (operator, bool) {
	dates := []key{currentTime, epochTime}
	switch name {
	case "StringEquals":
		return operator{test: equals}, true
	case "StringNotEquals":
		return operator{test: equals, negated: true}, true
	case "StringEqualsIgnoreCase":
		return operator{test: equalsFold}, true
	case "StringNotEqualsIgnoreCase":
		return operator{test: equalsFold, negated: true}, true
	case "StringLike":
		return operator{test: like}, true
	case "StringNotLike":
		return operator{test: like, negated: true}, true
	case "ArnEquals", "ArnLike":
		return operator{test: likeARN, about: []key{principalARN}}, true
	case "ArnNotEquals", "ArnNotLike":
		return operator{test: likeARN, about: []key{principalARN}, negated: true}, true
	case "Bool":
		return operator{test: isBool, about: []key{secureTransport}}, true
	case "IpAddress":
		return operator{test: inNetwork, about: []key{sourceIP}}, true
	case "NotIpAddress":
		return operator{test: inNetwork, about: []key{sourceIP}, negated: true}, true
	case "DateEquals":
		return operator{test: compared(func(n int) bool { return n == 0 }), about: dates}, true
	case "DateNotEquals":
		return operator{test: compared(func(n int) bool { return n == 0 }), about: dates, negated: true}, true
	case "DateLessThan":
		return operator{test: compared(func(n int) bool { return n < 0 }), about: dates}, true
	case "DateLessThanEquals":
		return operator{test: compared(func(n int) bool { return n <= 0 }), about: dates}, true
	case "DateGreaterThan":
		return operator{test: compared(func(n int) bool { return n > 0 }), about: dates}, true
	case "DateGreaterThanEquals":
		return operator{test: compared(func(n int) bool { return n >= 0 }), about: dates}, true
	}
	return operator{}, false
}

const knownOperators = "StringEquals, StringEqualsIgnoreCase, StringLike, ArnEquals, ArnLike, IpAddress, their Not… forms, " +
	"Bool, Null, DateEquals, DateNotEquals, DateLessThan, DateLessThanEquals, DateGreaterThan and DateGreaterThanEquals, with or without IfExists"

func equals(text string, expand bool) (test, error) {
	p, err := compile(text, false, expand)
	return func(value string, r *Request) bool { return p.match(value, r) }, err
}

func equalsFold(text string, expand bool) (test, error) {
	p, err := compile(text, false, expand)
	return func(value string, r *Request) bool {
		runes, ok := p.expand(r)
		return ok && strings.EqualFold(string(runes), value)
	}, err
}

func like(text string, expand bool) (test, error) {
	p, err := compile(text, true, expand)
	return func(value string, r *Request) bool { return p.match(value, r) }, err
}

func likeARN(text string, expand bool) (test, error) {
	a, err := compileARN(text, expand)
	return func(value string, r *Request) bool { return a.match(value, r) }, err
}

func isBool(text string, _ bool) (test, error) {
	want := strings.ToLower(text)
	if want != "true" && want != "false" {
		return nil, fmt.Errorf("%q is neither true nor false", text)
	}
	return func(value string, _ *Request) bool { return value == want }, nil
}

func inNetwork(text string, _ bool) (test, error) {
	network, err := netip.ParsePrefix(text)
	if addr, single := netip.ParseAddr(text); err != nil && single == nil && addr.Zone() == "" {
		network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%q is no address and no network such as 203.0.113.0/24", text)
	}
	const mapped = 96 // bits in front of an IPv4 address in IPv6
	if network.Addr().Is4In6() && network.Bits() >= mapped {
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-mapped)
	}
	network = network.Masked()
	return func(_ string, r *Request) bool { return network.Contains(r.SourceIP.Unmap().WithZone("")) }, nil
}

// compared tests what the order of the request's time and the value is.
func compared(is func(order int) bool) func(string, bool) (test, error) {
	return func(text string, _ bool) (test, error) {
		want, err := parseTime(text)
		if err != nil {
			return nil, err
		}
		return func(_ string, r *Request) bool { return is(r.Time.Compare(want)) }, nil
	}
}

func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 && seconds < 1<<40 {
		return time.Unix(seconds, 0), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time such as 2026-01-31T12:00:00Z", text)
}

// newCondition reads one key of an operator.
func newCondition(name, keyName string, values []string, expand bool) (condition, error) {
	k, ok := keyOf(keyName)
	if !ok {
		return condition{}, fmt.Errorf("condition key %s is not known here; known are %s", keyName, knownKeys())
	}
	c := condition{key: k}
	if len(values) == 0 {
		return c, errors.New("a condition needs a value")
	}
	if name == "Null" {
		return c, c.nullFor(values)
	}
	name, c.ifExists = strings.CutSuffix(name, "IfExists")
	o, ok := operatorOf(name)
	if !ok {
		return c, fmt.Errorf("condition operator %s is not known here; known are %s", name, knownOperators)
	}
	about := o.about == nil
	for _, may := range o.about {
		about = about || may == k
	}
	if !about {
		return c, fmt.Errorf("%s cannot ask about %s", name, keyNames[k])
	}
	c.negated = o.negated
	for _, value := range values {
		t, err := o.test(value, expand)
		if err != nil {
			return c, err
		}
		c.tests = append(c.tests, t)
	}
	return c, nil
}

func (c *condition) nullFor(values []string) error {
	if len(values) != 1 || values[0] != "true" && values[0] != "false" {
		return errors.New("condition Null wants one value, true or false")
	}
	want := values[0] == "true"
	c.null = &want
	return nil
}
