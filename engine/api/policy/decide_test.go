package policy

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The request that the cases change.
func asked() *Request {
	return &Request{
		Caller: Caller{User: "alice", Account: "000000000000"}, Action: "kinesis:PutRecord",
		Resource: "arn:aws:kinesis:us-east-1:000000000000:stream/clicks", SourceIP: netip.MustParseAddr("10.1.2.3"),
		Region: "us-east-1", Time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	}
}

// document is one of the statements, in the newer version of the language.
func document(t *testing.T, kind Kind, statements string) *Document {
	t.Helper()
	if statements == "" {
		return nil
	}
	d, err := Parse(`{"Version":"2012-10-17","Statement":[`+statements+`]}`, kind)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const (
	all      = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	clicks   = `"arn:aws:kinesis:us-east-1:000000000000:stream/clicks"`
	alice    = `"Principal":{"AWS":"arn:aws:iam::000000000000:user/alice"}`
	account  = `"Principal":{"AWS":"arn:aws:iam::000000000000:root"}`
	consumer = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks/consumer/c:1700000000"
)

// may is a statement that allows everything, or denies it, with something more.
func may(effect, more string) string {
	return `{"Effect":"` + effect + `","Action":"*","Resource":"*"` + more + `}`
}

func when(operator, key, value string) string {
	return may("Allow", `,"Condition":{"`+operator+`":{"`+key+`":`+value+`}}`)
}

func action(effect, actions string) string {
	return `{"Effect":"` + effect + `","Action":` + actions + `,"Resource":"*"}`
}

func on(effect, resources string) string {
	return `{"Effect":"` + effect + `","Action":"kinesis:*","Resource":` + resources + `}`
}

func grant(effect, principal string) string {
	return `{"Effect":"` + effect + `",` + principal + `,"Action":"kinesis:*","Resource":` + clicks + `}`
}

type decision struct {
	what               string
	identity, resource string
	change             func(*Request)
	want               Decision
}

func decisions() []decision {
	listing := func(r *Request) { r.Action, r.Resource = "kinesis:ListStreams", "*" }
	subscribing := func(r *Request) { r.Action, r.Resource = "kinesis:SubscribeToShard", consumer }
	secure := func(r *Request) { r.Secure = true }
	from := func(address string) func(*Request) {
		return func(r *Request) { r.SourceIP = netip.MustParseAddr(address) }
	}
	nowhere := func(r *Request) { r.SourceIP = netip.Addr{} }
	user := func(name string) func(*Request) { return func(r *Request) { r.User = name } }
	return []decision{
		// Defaults and denials.
		{"no policies", "", "", nil, NotAllowed},
		{"everything is allowed", all, "", nil, Allowed},
		{"a denial wins over what allows", all + "," + may("Deny", ""), "", nil, DeniedByIdentity},
		{"a denial wins also when it stands first", may("Deny", "") + "," + all, "", nil, DeniedByIdentity},
		{"a denial alone", may("Deny", ""), "", nil, DeniedByIdentity},
		{"the denial of another action", all + "," + action("Deny", `"kinesis:DeleteStream"`), "", nil, Allowed},
		{"the denial of another resource", all + "," + on("Deny", `"arn:aws:kinesis:us-east-1:000000000000:stream/orders"`), "", nil, Allowed},
		{"one of two statements allows", action("Allow", `"kinesis:Get*"`) + "," + action("Allow", `"kinesis:Put*"`), "", nil, Allowed},

		// Actions.
		{"the action itself", action("Allow", `"kinesis:PutRecord"`), "", nil, Allowed},
		{"another action", action("Allow", `"kinesis:PutRecords"`), "", nil, NotAllowed},
		{"one of a list", action("Allow", `["kinesis:GetRecords","kinesis:PutRecord"]`), "", nil, Allowed},
		{"none of a list", action("Allow", `["kinesis:GetRecords","kinesis:PutRecords"]`), "", nil, NotAllowed},
		{"case does not count", action("Allow", `"KINESIS:putrecord"`), "", nil, Allowed},
		{"all of a service", action("Allow", `"kinesis:*"`), "", nil, Allowed},
		{"all of another service", action("Allow", `"firehose:*"`), "", nil, NotAllowed},
		{"a star at the end", action("Allow", `"kinesis:Put*"`), "", nil, Allowed},
		{"a star in the middle", action("Allow", `"kinesis:P*d"`), "", nil, Allowed},
		{"two stars", action("Allow", `"kinesis:*ut*rd"`), "", nil, Allowed},
		{"a star for nothing", action("Allow", `"kinesis:PutRecord*"`), "", nil, Allowed},
		{"one character", action("Allow", `"kinesis:PutRecor?"`), "", nil, Allowed},
		{"one character more", action("Allow", `"kinesis:PutRecord?"`), "", nil, NotAllowed},
		{"a star before something else", action("Allow", `"kinesis:*s"`), "", nil, NotAllowed},
		{"NotAction of the action", `{"Effect":"Allow","NotAction":"kinesis:PutRecord","Resource":"*"}`, "", nil, NotAllowed},
		{"NotAction of another", `{"Effect":"Allow","NotAction":"kinesis:DeleteStream","Resource":"*"}`, "", nil, Allowed},
		{"NotAction of a list with it", `{"Effect":"Allow","NotAction":["kinesis:DeleteStream","kinesis:Put*"],"Resource":"*"}`, "", nil, NotAllowed},
		{"denied is all but reading", all + `,{"Effect":"Deny","NotAction":"kinesis:Get*","Resource":"*"}`, "", nil, DeniedByIdentity},
		{"a variable is none in an action", action("Allow", `"kinesis:${aws:username}"`), "", nil, NotAllowed},

		// Resources.
		{"the resource itself", on("Allow", clicks), "", nil, Allowed},
		{"another resource", on("Allow", `"arn:aws:kinesis:us-east-1:000000000000:stream/click"`), "", nil, NotAllowed},
		{"case counts", on("Allow", `"arn:aws:kinesis:us-east-1:000000000000:stream/Clicks"`), "", nil, NotAllowed},
		{"one of a list", on("Allow", `["arn:aws:kinesis:*:*:stream/orders",`+clicks+`]`), "", nil, Allowed},
		{"a prefix", on("Allow", `"arn:aws:kinesis:us-east-1:000000000000:stream/cl*"`), "", nil, Allowed},
		{"another prefix", on("Allow", `"arn:aws:kinesis:us-east-1:000000000000:stream/or*"`), "", nil, NotAllowed},
		{"any region and account", on("Allow", `"arn:aws:kinesis:*:*:stream/clicks"`), "", nil, Allowed},
		{"another region", on("Allow", `"arn:aws:kinesis:eu-west-1:000000000000:stream/clicks"`), "", nil, NotAllowed},
		{"another account", on("Allow", `"arn:aws:kinesis:us-east-1:111111111111:stream/clicks"`), "", nil, NotAllowed},
		{"one character", on("Allow", `"arn:aws:kinesis:us-east-1:000000000000:stream/click?"`), "", nil, Allowed},
		{"a star stays in its part", on("Allow", `"arn:aws:kinesis:*:stream/clicks"`), "", nil, NotAllowed},
		{"parts that are left out", on("Allow", `"arn:aws:kinesis"`), "", nil, Allowed},
		{"parts that are left out of another service", on("Allow", `"arn:aws:s3"`), "", nil, NotAllowed},
		{"NotResource of the resource", `{"Effect":"Allow","Action":"*","NotResource":` + clicks + `}`, "", nil, NotAllowed},
		{"NotResource of another", `{"Effect":"Allow","Action":"*","NotResource":"arn:aws:kinesis:*:*:stream/orders"}`, "", nil, Allowed},
		{"denied is all but one stream", all + `,{"Effect":"Deny","Action":"*","NotResource":"arn:aws:kinesis:*:*:stream/orders"}`, "", nil, DeniedByIdentity},
		{"what is about no resource", all, "", listing, Allowed},
		{"what is about no resource, by an ARN", on("Allow", `"arn:aws:kinesis:*:*:*"`), "", listing, NotAllowed},
		{"what is about no resource, by NotResource", `{"Effect":"Allow","Action":"*","NotResource":` + clicks + `}`, "", listing, Allowed},
		{"a consumer by its ARN", on("Allow", `"`+consumer+`"`), "", subscribing, Allowed},
		{"a consumer by a pattern", on("Allow", `"arn:aws:kinesis:us-east-1:000000000000:stream/clicks/consumer/*"`), "", subscribing, Allowed},
		{"a consumer by its name", on("Allow", `"arn:aws:kinesis:us-east-1:000000000000:stream/clicks/consumer/c:*"`), "", subscribing, Allowed},
		{"a consumer by its stream", on("Allow", clicks), "", subscribing, NotAllowed},
		{"a consumer of another stream", on("Allow", `"arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/*"`), "", subscribing, NotAllowed},

		// Variables.
		{"a stream of one's own", on("Allow", `"arn:aws:kinesis:*:*:stream/${aws:username}"`), "", user("clicks"), Allowed},
		{"a stream of somebody else", on("Allow", `"arn:aws:kinesis:*:*:stream/${aws:username}"`), "", nil, NotAllowed},
		{"a prefix of one's own", on("Allow", `"arn:aws:kinesis:*:*:stream/${aws:username}*"`), "", user("cli"), Allowed},
		{"a name is no pattern", on("Allow", `"arn:aws:kinesis:*:*:stream/${aws:username}"`), "", user("*"), NotAllowed},
		{"a name has no colons that count", on("Allow", `"arn:aws:kinesis:*:${aws:username}:stream/clicks"`), "", user("000000000000:stream/clicks"), NotAllowed},
		{"a variable in a condition", when("StringEquals", "aws:PrincipalArn", `"arn:aws:iam::000000000000:user/${aws:username}"`), "", nil, Allowed},
		{"a star that is a star", when("StringLike", "aws:username", `"a${*}"`), "", nil, NotAllowed},
		{"a star that is a star, and there", when("StringLike", "aws:username", `"a${*}"`), "", user("a*"), Allowed},
		{"a variable without a value", on("Allow", `"arn:aws:kinesis:*:*:stream/clicks${aws:SourceIp}"`), "", nowhere, NotAllowed},
		{"a variable's default", on("Allow", `"arn:aws:kinesis:*:*:stream/${aws:SourceIp, 'clicks'}"`), "", nowhere, Allowed},
		{"a default that is not needed", on("Allow", `"arn:aws:kinesis:*:*:stream/${aws:SourceIp, 'clicks'}"`), "", nil, NotAllowed},

		// Conditions.
		{"StringEquals", when("StringEquals", "aws:username", `"alice"`), "", nil, Allowed},
		{"StringEquals of another", when("StringEquals", "aws:username", `"bob"`), "", nil, NotAllowed},
		{"StringEquals of several", when("StringEquals", "aws:username", `["bob","alice"]`), "", nil, Allowed},
		{"StringEquals knows no wildcards", when("StringEquals", "aws:username", `"a*"`), "", nil, NotAllowed},
		{"StringEquals knows case", when("StringEquals", "aws:username", `"Alice"`), "", nil, NotAllowed},
		{"a key's case does not count", when("StringEquals", "AWS:UserName", `"alice"`), "", nil, Allowed},
		{"StringNotEquals", when("StringNotEquals", "aws:username", `"alice"`), "", nil, NotAllowed},
		{"StringNotEquals of another", when("StringNotEquals", "aws:username", `"bob"`), "", nil, Allowed},
		{"StringNotEquals of several is none of them", when("StringNotEquals", "aws:username", `["bob","alice"]`), "", nil, NotAllowed},
		{"StringEqualsIgnoreCase", when("StringEqualsIgnoreCase", "aws:username", `"ALICE"`), "", nil, Allowed},
		{"StringNotEqualsIgnoreCase", when("StringNotEqualsIgnoreCase", "aws:username", `"ALICE"`), "", nil, NotAllowed},
		{"StringLike", when("StringLike", "aws:username", `"al*"`), "", nil, Allowed},
		{"StringLike of one character", when("StringLike", "aws:username", `"?lice"`), "", user("älice"), Allowed},
		{"StringNotLike", when("StringNotLike", "aws:username", `"al*"`), "", nil, NotAllowed},
		{"StringNotLike of another", when("StringNotLike", "aws:username", `"b*"`), "", nil, Allowed},
		{"ArnLike", when("ArnLike", "aws:PrincipalArn", `"arn:aws:iam::*:user/a*"`), "", nil, Allowed},
		{"ArnNotLike", when("ArnNotLike", "aws:PrincipalArn", `"arn:aws:iam::*:user/a*"`), "", nil, NotAllowed},
		{"IpAddress", when("IpAddress", "aws:SourceIp", `"10.0.0.0/8"`), "", nil, Allowed},
		{"IpAddress of one", when("IpAddress", "aws:SourceIp", `"10.1.2.3"`), "", nil, Allowed},
		{"IpAddress elsewhere", when("IpAddress", "aws:SourceIp", `["192.168.0.0/16","10.1.2.4/32"]`), "", nil, NotAllowed},
		{"IpAddress of version 6", when("IpAddress", "aws:SourceIp", `"2001:db8::/32"`), "", from("2001:db8::1"), Allowed},
		{"IpAddress in the form of version 6", when("IpAddress", "aws:SourceIp", `"10.0.0.0/8"`), "", from("::ffff:10.1.2.3"), Allowed},
		{"IpAddress of one, written in the form of version 6", when("IpAddress", "aws:SourceIp", `"::ffff:10.1.2.3"`), "", nil, Allowed},
		{"IpAddress of a network, written in the form of version 6", when("IpAddress", "aws:SourceIp", `"::ffff:10.0.0.0/104"`), "", nil, Allowed},
		{"NotIpAddress of one, written in the form of version 6", when("NotIpAddress", "aws:SourceIp", `"::ffff:10.1.2.3"`), "", nil, NotAllowed},
		{"IpAddress of all of version 4 is none of 6", when("IpAddress", "aws:SourceIp", `"0.0.0.0/0"`), "", from("2001:db8::1"), NotAllowed},
		{"NotIpAddress", when("NotIpAddress", "aws:SourceIp", `"10.0.0.0/8"`), "", nil, NotAllowed},
		{"NotIpAddress elsewhere", when("NotIpAddress", "aws:SourceIp", `"10.2.0.0/16"`), "", nil, Allowed},
		{"Bool without TLS", when("Bool", "aws:SecureTransport", `"true"`), "", nil, NotAllowed},
		{"Bool with TLS", when("Bool", "aws:SecureTransport", `true`), "", secure, Allowed},
		{"denied is what is not TLS", all + "," + may("Deny", `,"Condition":{"Bool":{"aws:SecureTransport":"false"}}`), "", nil, DeniedByIdentity},
		{"denied is what is not TLS, with TLS", all + "," + may("Deny", `,"Condition":{"Bool":{"aws:SecureTransport":"false"}}`), "", secure, Allowed},
		{"Null of a value", when("Null", "aws:SourceIp", `"true"`), "", nil, NotAllowed},
		{"Null of no value", when("Null", "aws:SourceIp", `"true"`), "", nowhere, Allowed},
		{"not Null of a value", when("Null", "aws:SourceIp", `"false"`), "", nil, Allowed},
		{"IpAddress of nowhere", when("IpAddress", "aws:SourceIp", `"0.0.0.0/0"`), "", nowhere, NotAllowed},
		{"NotIpAddress of nowhere", when("NotIpAddress", "aws:SourceIp", `"0.0.0.0/0"`), "", nowhere, Allowed},
		{"IpAddressIfExists of nowhere", when("IpAddressIfExists", "aws:SourceIp", `"10.2.0.0/16"`), "", nowhere, Allowed},
		{"IpAddressIfExists elsewhere", when("IpAddressIfExists", "aws:SourceIp", `"10.2.0.0/16"`), "", nil, NotAllowed},
		{"DateLessThan", when("DateLessThan", "aws:CurrentTime", `"2026-11-22T12:00:01Z"`), "", nil, Allowed},
		{"DateLessThan of before", when("DateLessThan", "aws:CurrentTime", `"2026-11-22T12:00:00Z"`), "", nil, NotAllowed},
		{"DateGreaterThanEquals of seconds", when("DateGreaterThanEquals", "aws:EpochTime", `1795348800`), "", nil, Allowed},
		{"two keys must both hold", may("Allow", `,"Condition":{"StringEquals":{"aws:username":"alice","aws:RequestedRegion":"eu-west-1"}}`), "", nil, NotAllowed},
		{"two operators must both hold", may("Allow", `,"Condition":{"StringEquals":{"aws:username":"alice"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), "", nil, Allowed},
		{"one of two operators", may("Allow", `,"Condition":{"StringEquals":{"aws:username":"alice"},"IpAddress":{"aws:SourceIp":"11.0.0.0/8"}}`), "", nil, NotAllowed},
		{"the resource's account", when("StringEquals", "aws:ResourceAccount", `"000000000000"`), "", nil, Allowed},

		// Policies of resources.
		{"the resource allows the user", "", grant("Allow", alice), nil, Allowed},
		{"the resource allows everybody", "", grant("Allow", `"Principal":"*"`), nil, Allowed},
		{"the resource allows everybody of AWS", "", grant("Allow", `"Principal":{"AWS":"*"}`), nil, Allowed},
		{"the resource allows another user", "", grant("Allow", alice), user("bob"), NotAllowed},
		{"the resource allows one of a list", "", grant("Allow", `"Principal":{"AWS":["111111111111","arn:aws:iam::000000000000:user/alice"]}`), nil, Allowed},
		{"the resource leaves it to the account", "", grant("Allow", account), nil, NotAllowed},
		{"the resource leaves it to the account, which allows", action("Allow", `"kinesis:PutRecord"`), grant("Allow", account), nil, Allowed},
		{"the resource leaves it to the account by its id", "", grant("Allow", `"Principal":{"AWS":"000000000000"}`), nil, NotAllowed},
		{"the resource allows another account", "", grant("Allow", `"Principal":{"AWS":"arn:aws:iam::111111111111:user/alice"}`), nil, NotAllowed},
		{"the resource denies what the user's policy allows", all, grant("Deny", alice), nil, DeniedByResource},
		{"the resource denies everybody", all, grant("Deny", `"Principal":"*"`), nil, DeniedByResource},
		{"the resource denies the account", all, grant("Deny", account), nil, DeniedByResource},
		{"the resource denies another user", all, grant("Deny", `"Principal":{"AWS":"arn:aws:iam::000000000000:user/bob"}`), nil, Allowed},
		{"the user's policy denies what the resource allows", may("Deny", ""), grant("Allow", alice), nil, DeniedByIdentity},
		{"the resource has its own denial", "", grant("Allow", alice) + "," + grant("Deny", `"Principal":"*"`), nil, DeniedByResource},
		{"the resource's policy is about another stream", "", `{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:kinesis:*:*:stream/orders"}`, nil, NotAllowed},
		{"the resource allows with a condition", "", `{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`, nil, Allowed},
		{"the resource allows with a condition that fails", "", `{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"11.0.0.0/8"}}}`, nil, NotAllowed},
	}
}

func TestDecisionsAreThoseOfAWS(t *testing.T) {
	cases := decisions()
	if len(cases) < 80 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		r := asked()
		if c.change != nil {
			c.change(r)
		}
		if got := Decide(r, document(t, Identity, c.identity), document(t, Resource, c.resource)); got != c.want {
			t.Errorf("%s: decision %d, want %d", c.what, got, c.want)
		}
	}
}

// Whatever is allowed is denied once a denial of it is added, and what is not allowed never becomes so by one.
func TestDenialsWinOverEveryCase(t *testing.T) {
	for _, c := range decisions() {
		r := asked()
		if c.change != nil {
			c.change(r)
		}
		identity := may("Deny", "")
		if c.identity != "" {
			identity = c.identity + "," + identity
		}
		if got := Decide(r, document(t, Identity, identity), document(t, Resource, c.resource)); got != DeniedByIdentity {
			t.Errorf("%s, and a denial: decision %d", c.what, got)
		}
	}
}

func TestOlderVersionKnowsNoVariables(t *testing.T) {
	for _, head := range []string{"", `"Version":"2008-10-17",`} {
		d, err := Parse(`{`+head+`"Statement":`+on("Allow", `"arn:aws:kinesis:*:*:stream/${aws:username}"`)+`}`, Identity)
		if err != nil {
			t.Fatal(err)
		}
		r := asked()
		r.User = "clicks"
		if Decide(r, d, nil) != NotAllowed {
			t.Errorf("%q: a variable was one", head)
		}
	}
}

func TestRefusalsAreThoseOfAWS(t *testing.T) {
	r := asked()
	const begin = "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: kinesis:PutRecord on resource: arn:aws:kinesis:us-east-1:000000000000:stream/clicks "
	for d, want := range map[Decision]string{
		NotAllowed:       "because no identity-based policy allows the kinesis:PutRecord action",
		DeniedByIdentity: "with an explicit deny in an identity-based policy",
		DeniedByResource: "with an explicit deny in a resource-based policy",
	} {
		if got := d.Refusal(r); got != begin+want {
			t.Errorf("%q", got)
		}
	}
}

func TestMistypedActionsAreFound(t *testing.T) {
	d := document(t, Identity, action("Allow", `["kinesis:PutRecrod","kinesis:Get*","kinesis:Fetch*","s3:GetObject","*"]`))
	if got := d.Unknown("kinesis", []string{"PutRecord", "GetRecords"}); strings.Join(got, " ") != "kinesis:PutRecrod kinesis:Fetch*" {
		t.Errorf("%q", got)
	}
}

func TestNamedPoliciesAreDocuments(t *testing.T) {
	for _, n := range named {
		d, err := Parse(n.text, Identity)
		if err != nil {
			t.Errorf("%s: %v", n.name, err)
			continue
		}
		for action, may := range map[string]string{
			"kinesis:PutRecords": "full-access producer", "kinesis:GetRecords": "full-access read-only consumer", "kinesis:DeleteStream": "full-access",
			"kinesis:RegisterStreamConsumer": "full-access consumer", "kinesis:PutResourcePolicy": "full-access",
		} {
			r := asked()
			r.Action = action
			if got, want := Decide(r, d, nil) == Allowed, strings.Contains(" "+may+" ", " "+n.name+" "); got != want {
				t.Errorf("%s may %s: %v", n.name, action, got)
			}
		}
	}
	if _, ok := Named("other"); ok || !strings.Contains(Names(), "read-only") {
		t.Error("names")
	}
}

func BenchmarkDecide(b *testing.B) {
	text, _ := Named("producer")
	d, err := Parse(text, Identity)
	if err != nil {
		b.Fatal(err)
	}
	r := asked()
	b.ReportAllocs()
	for b.Loop() {
		if Decide(r, d, nil) != Allowed {
			b.Fatal("not allowed")
		}
	}
}
