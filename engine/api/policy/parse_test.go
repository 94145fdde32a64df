package policy

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMistakesAreToldWithTheirPlaces(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", `1:1: this is not JSON`},
		{"\n {", `2:3: this is not JSON`},
		{"[]", `1:1: a policy must be an object`},
		{"{}", `1:1: a policy needs at least one Statement`},
		{`{"Statement":[]}`, `1:1: a policy needs at least one Statement`},
		{`{"Statement":[]} x`, `1:18: there is something behind the document`},
		{`{"Statment":[]}`, `1:2: unknown element "Statment"; a policy has Version, Id and Statement`},
		{`{"Version":"2012","Statement":` + all + `}`, `1:12: Version must be "2012-10-17"`},
		{"{\"Statement\": [\n  {\"Effect\":\"Allow\",\n   \"Action\":\"*\"}]}", `2:3: a statement needs Resource or NotResource`},
		{`{"Statement":{"Effect":"allow","Action":"*","Resource":"*"}}`, `1:24: Effect must be "Allow" or "Deny"`},
		{`{"Statement":{"Effect":"Allow","Action":"PutRecord","Resource":"*"}}`, `1:41: action "PutRecord" must be prefaced by its service, for example kinesis:PutRecord`},
		{`{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}`, `1:41: Action is empty`},
		{`{"Statement":{"Effect":"Allow","Action":[["*"]],"Resource":"*"}}`, `1:42: Action must be a string or a list of strings`},
		{`{"Statement":{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}}`, `1:57: a statement has either Action or NotAction`},
		{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"clicks"}}`, `1:56: resource: "clicks" must be in ARN format or "*"`},
		{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:${aws:username"}}`, `1:79: resource: variable "${aws:username" has no end`},
		{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:${aws:user}"}}`, `1:79: resource: variable ${aws:user} is not known`},
		{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:${aws:username, x}"}}`, `its default must stand between single quotes`},
		{`{"Statement":{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}}`, `1:32: "Effect" is there twice`},
		{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}}`, `1:14: the policy of a user has no Principal: it is about that user`},
		{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","NotPrincipal":"*"}}`, `1:60: unknown element "NotPrincipal"`},
		{`{"Statement":` + when("StringEqual", "aws:username", `"a"`) + `}`, `condition operator StringEqual is not known here`},
		{`{"Statement":` + when("NullIfExists", "aws:username", `"true"`) + `}`, `condition operator Null is not known here`},
		{`{"Statement":` + when("ForAllValues:StringEquals", "aws:username", `"a"`) + `}`, `condition operator ForAllValues:StringEquals is not known here`},
		{`{"Statement":` + when("StringEquals", "aws:UserAgent", `"a"`) + `}`, `1:89: condition key aws:UserAgent is not known here`},
		{`{"Statement":` + when("StringEquals", "aws:username", `[]`) + `}`, `aws:username is empty`},
		{`{"Statement":` + when("IpAddress", "aws:SourceIp", `"10.0.0"`) + `}`, `"10.0.0" is no address and no network`},
		{`{"Statement":` + when("IpAddress", "aws:username", `"10.0.0.0/8"`) + `}`, `IpAddress cannot ask about aws:username`},
		{`{"Statement":` + when("Bool", "aws:SecureTransport", `"yes"`) + `}`, `"yes" is neither true nor false`},
		{`{"Statement":` + when("Null", "aws:SourceIp", `"yes"`) + `}`, `Null wants one value, true or false`},
		{`{"Statement":` + when("DateLessThan", "aws:CurrentTime", `"tomorrow"`) + `}`, `"tomorrow" is no time`},
		{"{\"Statement\":\xff}", `1:1: the document is not UTF-8`},
		{strings.Repeat(" ", MaxDocument) + "{}", `1:1: the document has 20482 bytes, the most is 20480`},
		{strings.Repeat(`{"Statement":`, 20), `the document is nested too deep`},
	} {
		_, err := Parse(c.text, Identity)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %v, want %s", c.text, err, c.want)
		}
	}
	for _, c := range []struct{ principal, want string }{
		{``, `a statement needs Principal`},
		{`,"Principal":"alice"`, `Principal must be "*" or an object`},
		{`,"Principal":{}`, `Principal is empty`},
		{`,"Principal":{"Service":"x"}`, `unknown element "Service"`},
		{`,"Principal":{"AWS":"arn:aws:iam::000000000000:user/*"}`, `without wildcards`},
		{`,"Principal":{"AWS":[]}`, `Principal is empty`},
	} {
		_, err := Parse(`{"Statement":`+may("Allow", c.principal)+`}`, Resource)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.principal, err, c.want)
		}
	}
}

func TestAllMistakesAreToldButNotTooMany(t *testing.T) {
	_, err := Parse(`{"Statement":[{},{"Effect":"x","Action":"*","Resource":"*"}]}`, Identity)
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 4 {
		t.Errorf("%v", err)
	}
	_, err = Parse(`{"Statement":[`+strings.Repeat(`{},`, 1000)+`{}]}`, Identity)
	if !errors.As(err, &problems) || len(problems) != maxProblems {
		t.Errorf("%d problems", len(problems))
	}
}

// A pattern that makes others try every way through a text.
func TestWildcardsTakeBoundedTime(t *testing.T) {
	p, err := compile(strings.Repeat("a*", 5000)+"b", true, false)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("a", 2048)
	began := time.Now()
	if p.match(text, asked()) {
		t.Error("it matches")
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// slow is what a pattern means, by trying every way.
func slow(p, text []rune) bool {
	switch {
	case len(p) == 0:
		return len(text) == 0
	case p[0] == anyText:
		return slow(p[1:], text) || len(text) > 0 && slow(p, text[1:])
	case len(text) == 0:
		return false
	}
	return (p[0] == anyOne || p[0] == text[0]) && slow(p[1:], text[1:])
}

func FuzzPattern(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add("**?", "ä")
	f.Fuzz(func(t *testing.T, text, value string) {
		if len(text) > 12 || len(value) > 12 {
			return
		}
		p, err := compile(text, true, false)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.match(value, asked()), slow(p.runes, []rune(value)); got != want {
			t.Errorf("%q matches %q: %v", text, value, got)
		}
	})
}

// FuzzParse reads any text: a document that denies everything besides denies everything.
func FuzzParse(f *testing.F) {
	for _, c := range decisions() {
		if c.resource == "" {
			f.Add(c.identity)
		}
	}
	f.Add(`{"Effect":"Allow","Action":"kinesis:${aws:username}","Resource":"arn:${*}${aws:SourceIp, 'x'}","Condition":{"Null":{"aws:SourceIp":true}}}`)
	f.Fuzz(func(t *testing.T, statement string) {
		text := `{"Version":"2012-10-17","Statement":[` + statement + `]}`
		for _, kind := range []Kind{Identity, Resource} {
			d, err := Parse(text, kind)
			if err != nil {
				continue
			}
			Decide(asked(), d, nil)
			Decide(asked(), nil, d)
			d.Unknown("kinesis", []string{"PutRecord"})
			denied, err := Parse(`{"Version":"2012-10-17","Statement":[`+statement+`,{"Effect":"Deny","Action":"*","Resource":"*"}]}`, Identity)
			if kind == Identity && err == nil && Decide(asked(), denied, nil) != DeniedByIdentity {
				t.Errorf("%s: denied, and allowed", statement)
			}
		}
	})
}
