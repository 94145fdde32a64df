package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestDoctorsExitCodeSaysWhetherClientsCanWork(t *testing.T) {
	for _, name := range []string{"AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/none")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"doctor"}, exitUsage, "give --endpoint URL"},
		{[]string{"doctor", "--endpoint", "http://127.0.0.1:1"}, exitFailed, "wrong     port      nothing listens on 127.0.0.1:1; cure: start `millrace serve --listen 127.0.0.1:1`"},
		{[]string{"doctor", "--endpoint", "http://127.0.0.1:1", "--json"}, exitFailed, `"result": "wrong"`},
	} {
		var out bytes.Buffer
		if code := run(c.args, &out, &out); code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: code %d, %s", c.args, code, out.String())
		}
	}
}
