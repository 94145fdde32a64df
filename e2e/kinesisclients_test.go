package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/e2e/rig"
)

// seen is what a program in e2e/clients prints.
type seen struct {
	Protocol, Version string
	Failed, Open      int
	Tags              []string
	Shards            [][]string
	Subscribed        struct{ Texts, Children []string }
	Errors            []string
}

// wanted is what a program sees that puts 40 records into two shards, subscribes to the first, puts one more and
// splits it.
func wanted() (w seen) {
	w = seen{Open: 2, Tags: []string{"team=düne"}, Shards: make([][]string, 2)}
	for i := range 40 {
		w.Shards[i%2] = append(w.Shards[i%2], fmt.Sprint("record-", i))
	}
	w.Subscribed.Texts = append(slices.Clone(w.Shards[0]), "live")
	w.Subscribed.Children = []string{"shardId-000000000002", "shardId-000000000003"}
	return w
}

// plainAndTLS runs a test against a server without TLS and against one whose certificate the client is told of.
func plainAndTLS(t *testing.T, test func(t *testing.T, s *server, endpoint string, env ...string)) {
	t.Helper()
	t.Run("http", func(t *testing.T) {
		s := serving(t)
		test(t, s, "http://"+s.address)
	})
	t.Run("https", func(t *testing.T) {
		s := serving(t, "--tls", "auto")
		file := filepath.Join(s.data, "tls", "cert.pem")
		test(t, s, "https://"+s.address, "NODE_EXTRA_CA_CERTS="+file, "AWS_CA_BUNDLE="+file)
	})
}

// program runs one to its end and returns what it prints.
func program(t *testing.T, path string, env []string, args ...string) string {
	t.Helper()
	// Nothing of the user's configuration is used, and nobody is asked for credentials.
	env = append([]string{"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=AKIDCLIENT", "AWS_SECRET_ACCESS_KEY=secret", "AWS_PAGER="}, env...)
	process, err := rig.Command{Path: path, Args: args, Env: env, Dir: t.TempDir()}.Start()
	must(t, err)
	exit, err := process.Wait(within(t, patience))
	must(t, err)
	if exit.Code != 0 {
		t.Fatalf("%s %v ended with %d\n%s%s", path, args, exit.Code, exit.Stdout, exit.Stderr)
	}
	return exit.Stdout
}

func see(t *testing.T, text string) (s seen) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return s
}

// skip says why also where skipped tests are not listed.
func skip(t *testing.T, reason string) {
	t.Helper()
	fmt.Printf("%s is skipped: %s\n", t.Name(), reason)
	t.SkipNow()
}

// node is the interpreter, and where the packages are that e2e/clients/node.sh installs.
func node(t *testing.T) (path, modules string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	must(t, err)
	modules = filepath.Join(cache, "millrace", "clients", "node", "node_modules")
	path, err = exec.LookPath("node")
	if _, missing := os.Stat(filepath.Join(filepath.Dir(modules), "installed.json")); err != nil || missing != nil {
		skip(t, "the clients for Node are not installed: run e2e/clients/node.sh once")
	}
	return path, modules
}

// The SDK for Node v3 speaks HTTP/2, with and without TLS.
func TestNodeSDKWorksUnmodified(t *testing.T) {
	path, modules := node(t)
	plainAndTLS(t, func(t *testing.T, _ *server, endpoint string, env ...string) {
		got := see(t, program(t, path, append(env, "NODE_PATH="+modules), filepath.Join(root, "e2e", "clients", "node", "kinesis.cjs"), endpoint, "s"))
		want := wanted()
		want.Protocol = "h2"
		want.Errors = []string{"ResourceNotFoundException", "ValidationException", "InvalidArgumentException", "ResourceInUseException"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("wanted (-), saw (+):\n%s", diff)
		}
	})
}

func TestNodeSDKv2WorksUnmodified(t *testing.T) {
	path, modules := node(t)
	s := serving(t)
	got := see(t, program(t, path, []string{"NODE_PATH=" + modules}, filepath.Join(root, "e2e", "clients", "node", "kinesis-v2.cjs"), "http://"+s.address, "s"))
	want := seen{Shards: [][]string{nil}, Errors: []string{"ResourceNotFoundException"}}
	for i := range 20 {
		want.Shards[0] = append(want.Shards[0], fmt.Sprint("record-", i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wanted (-), saw (+):\n%s", diff)
	}
}

// python is an interpreter that has boto3: that of the path, or that of the system.
func python(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(path, "-c", "import boto3").Run() == nil {
			return path
		}
	}
	skip(t, "no python3 has boto3: install Debian's python3-boto3")
	return ""
}

func TestBoto3WorksUnmodified(t *testing.T) {
	path := python(t)
	plainAndTLS(t, func(t *testing.T, _ *server, endpoint string, env ...string) {
		got := see(t, program(t, path, env, filepath.Join(root, "e2e", "clients", "python", "kinesis.py"), endpoint, "s"))
		t.Log("boto3", got.Version)
		got.Version = ""
		want := wanted()
		want.Errors = []string{"ResourceNotFoundException", "ValidationException", "InvalidArgumentException", "ResourceInUseException"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("wanted (-), saw (+):\n%s", diff)
		}
	})
}

func TestAWSCLIWorksUnmodified(t *testing.T) {
	path, err := exec.LookPath("aws")
	if err != nil {
		skip(t, "there is no AWS CLI: install Debian's awscli")
	}
	s := serving(t, "--tls", "auto", "--instant")
	env := []string{"AWS_CA_BUNDLE=" + filepath.Join(s.data, "tls", "cert.pem")}
	t.Log(strings.TrimSpace(program(t, path, nil, "--version")))
	aws := func(args ...string) string {
		t.Helper()
		args = append([]string{"--endpoint-url", "https://" + s.address, "--region", "us-east-1", "--output", "text", "kinesis"}, args...)
		return strings.TrimSpace(program(t, path, env, args...))
	}
	// Versions 1 and 2 take text as different things, and a file as the same.
	data := filepath.Join(t.TempDir(), "data")
	must(t, os.WriteFile(data, []byte("hello"), 0o600))
	aws("create-stream", "--stream-name", "s", "--shard-count", "1")
	if got := aws("put-record", "--stream-name", "s", "--partition-key", "k", "--data", "fileb://"+data, "--query", "ShardId"); got != "shardId-000000000000" {
		t.Errorf("put into %q", got)
	}
	iterator := aws("get-shard-iterator", "--stream-name", "s", "--shard-id", "0", "--shard-iterator-type", "TRIM_HORIZON", "--query", "ShardIterator")
	if got := aws("get-records", "--shard-iterator", iterator, "--query", "Records[].[PartitionKey,Data]"); got != "k\taGVsbG8=" {
		t.Errorf("got %q", got)
	}
	if got := aws("list-streams", "--query", "StreamNames"); got != "s" {
		t.Errorf("listed %q", got)
	}
	aws("split-shard", "--stream-name", "s", "--shard-to-split", "shardId-000000000000", "--new-starting-hash-key", "1000")
	if got := aws("list-shards", "--stream-name", "s", "--query", "Shards[].ParentShardId"); !strings.HasSuffix(got, "shardId-000000000000\tshardId-000000000000") {
		t.Errorf("parents %q", got)
	}
	if got := aws("describe-stream-summary", "--stream-name", "s", "--query", "StreamDescriptionSummary.[StreamARN,OpenShardCount]"); got != "arn:aws:kinesis:us-east-1:000000000000:stream/s\t2" {
		t.Errorf("described as %q", got)
	}
}
