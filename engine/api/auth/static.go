package auth

import "github.com/millrace-io/millrace/engine/api/policy"

// Static are access keys, with their secrets, that may do everything. The name of each user is the key.
type Static map[string]string

// everything is a policy that allows it. It does not change.
var everything = func() *policy.Document {
	text, _ := policy.Named(policy.FullAccess)
	d, err := policy.Parse(text, policy.Identity)
	if err != nil {
		return nil // allows nothing; a test knows that it does not happen
	}
	return d
}()

// ByKey implements Users.
func (s Static) ByKey(accessKey string) (*User, string, bool) {
	secret, ok := s[accessKey]
	return &User{Name: accessKey, Policy: everything, Owner: true}, secret, ok
}

// ByCertificate implements Users: nobody has one.
func (s Static) ByCertificate([]string) (*User, bool) { return nil, false }

// Any implements Users.
func (s Static) Any() bool { return len(s) > 0 }
