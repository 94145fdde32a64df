package policy

import "strings"

// FullAccess is the name of the policy that allows everything. Who has it by this name owns the server.
const FullAccess = "full-access"

// named are the policies that have names, so that the usual ones need no document.
var named = []struct{ name, about, text string }{
	{FullAccess, "everything", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`},
	{"read-only", "list, describe and read all streams", `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Action":["kinesis:Get*","kinesis:List*","kinesis:Describe*","kinesis:SubscribeToShard"],"Resource":"*"}}`},
	{"producer", "put records into all streams", `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Action":["kinesis:PutRecord","kinesis:PutRecords","kinesis:DescribeStream","kinesis:DescribeStreamSummary","kinesis:ListShards","kinesis:ListStreams"],"Resource":"*"}}`},
	{"consumer", "read-only, and register and deregister consumers", `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Action":["kinesis:Get*","kinesis:List*","kinesis:Describe*","kinesis:SubscribeToShard","kinesis:RegisterStreamConsumer","kinesis:DeregisterStreamConsumer"],"Resource":"*"}}`},
}

// Named returns the document of a name, as JSON.
func Named(name string) (text string, ok bool) {
	for _, n := range named {
		if n.name == name {
			return n.text, true
		}
	}
	return "", false
}

// Names tells what names there are, for people.
func Names() string {
	var texts []string
	for _, n := range named {
		texts = append(texts, n.name+" ("+n.about+")")
	}
	return strings.Join(texts, ", ")
}
