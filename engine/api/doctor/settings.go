package doctor

import (
	"bufio"
	"bytes"
	"path/filepath"
	"strings"

	"github.com/millrace-io/millrace/engine/api/auth"
)

// settings are those that SDKs find, and where.
type settings struct {
	profile string
	// found says that the profile is in some file.
	found       bool
	credentials auth.Credentials
	// keysFrom, regionFrom and endpointOf say where they are from.
	keysFrom             string
	region, regionFrom   string
	endpoint, endpointOf string
	// elsewhere says that keys come from a program, a role or a login, which are not followed here.
	elsewhere string
}

// settings reads them in the order of the SDKs: environment first, then the profile in the files.
func (o *Options) settings() settings {
	s := settings{profile: firstOf(o.Profile, o.Getenv("AWS_PROFILE"), "default")}
	home := func(name string) string { return filepath.Join(o.Home, ".aws", name) }
	configFile := firstOf(o.Getenv("AWS_CONFIG_FILE"), home("config"))
	keysFile := firstOf(o.Getenv("AWS_SHARED_CREDENTIALS_FILE"), home("credentials"))
	config := o.section(configFile, "profile "+s.profile)
	if s.profile == "default" && config == nil {
		config = o.section(configFile, "default")
	}
	keys := o.section(keysFile, s.profile)
	s.found = config != nil || keys != nil
	s.keys(o, keys, keysFile, config, configFile)
	for _, x := range []struct{ value, from string }{
		{o.Region, "--region"}, {o.Getenv("AWS_REGION"), "AWS_REGION"}, {o.Getenv("AWS_DEFAULT_REGION"), "AWS_DEFAULT_REGION"}, {config["region"], configFile},
	} {
		if x.value != "" && s.region == "" {
			s.region, s.regionFrom = x.value, x.from
		}
	}
	services := map[string]string{}
	if name := config["services"]; name != "" {
		services = o.section(configFile, "services "+name)
	}
	for _, x := range []struct{ value, from string }{
		{o.Getenv("AWS_ENDPOINT_URL_KINESIS"), "AWS_ENDPOINT_URL_KINESIS"}, {o.Getenv("AWS_ENDPOINT_URL"), "AWS_ENDPOINT_URL"},
		{services["kinesis.endpoint_url"], configFile}, {config["endpoint_url"], configFile},
	} {
		if x.value != "" && s.endpoint == "" {
			s.endpoint, s.endpointOf = x.value, x.from
		}
	}
	return s
}

func (s *settings) keys(o *Options, keys map[string]string, keysFile string, config map[string]string, configFile string) {
	for _, x := range []struct{ id, secret, token, from string }{
		{o.Getenv("AWS_ACCESS_KEY_ID"), o.Getenv("AWS_SECRET_ACCESS_KEY"), o.Getenv("AWS_SESSION_TOKEN"), "the environment"},
		{keys["aws_access_key_id"], keys["aws_secret_access_key"], keys["aws_session_token"], keysFile},
		{config["aws_access_key_id"], config["aws_secret_access_key"], config["aws_session_token"], configFile},
	} {
		// A profile that was asked for comes before the environment.
		if x.from == "the environment" && o.Profile != "" {
			continue
		}
		if x.id != "" || x.secret != "" {
			s.credentials, s.keysFrom = auth.Credentials{AccessKey: x.id, Secret: x.secret, Token: x.token}, x.from
			return
		}
	}
	for _, name := range []string{"credential_process", "sso_session", "sso_start_url", "role_arn", "login_session"} {
		if config[name] != "" || keys[name] != "" {
			s.elsewhere = name
		}
	}
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// maxConfig bounds the files that are read.
const maxConfig = 1 << 20

// section is a section of an INI file, nil if it is not there. Keys below another key have that key and a dot in front.
func (o *Options) section(file, name string) map[string]string {
	text, err := o.ReadFile(file)
	if err != nil || len(text) > maxConfig {
		return nil
	}
	var found map[string]string
	inside, above := false, ""
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		line := scan.Text()
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';' {
			continue
		}
		if title, ok := strings.CutPrefix(trimmed, "["); ok {
			title, _, _ = strings.Cut(title, "]")
			inside = strings.Join(strings.Fields(title), " ") == name
			if inside && found == nil {
				found = map[string]string{}
			}
			continue
		}
		key, value, ok := strings.Cut(trimmed, "=")
		if !inside || !ok {
			continue
		}
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
		if line[0] == ' ' || line[0] == '\t' {
			key = above + "." + key
		} else {
			above = key
		}
		found[key] = value
	}
	return found
}

// environment tells whether programs would find the endpoint.
func (e *examination) environment() {
	s := e.settings
	switch {
	case s.endpoint == "":
		e.doubt("settings", "no setting names an endpoint: programs that are not told one ask AWS itself", "export AWS_ENDPOINT_URL_KINESIS="+e.o.Endpoint)
	case strings.TrimRight(s.endpoint, "/") != strings.TrimRight(e.o.Endpoint, "/"):
		e.doubt("settings", s.endpointOf+" says "+s.endpoint+", which is another endpoint", "export AWS_ENDPOINT_URL_KINESIS="+e.o.Endpoint)
	case strings.EqualFold(e.o.Getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true"):
		e.wrong("settings", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true: programs ask AWS itself", "unset AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
	default:
		e.well("settings", s.endpointOf+" names the endpoint")
	}
}

// credentials tells whether there is something to sign with.
func (e *examination) credentials() {
	s := e.settings
	const cure = "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…; a server that is open takes any, others those of `millrace user add`"
	switch {
	case s.profile != "default" && !s.found:
		e.wrong("keys", "profile "+quote(s.profile)+" is in no file", "add it by aws configure --profile "+s.profile+", or unset AWS_PROFILE")
	case s.credentials.AccessKey == "" && s.elsewhere != "":
		e.doubt("keys", "keys come by "+s.elsewhere+" of profile "+quote(s.profile)+", which is not followed here", "")
	case s.credentials.AccessKey == "" && s.credentials.Secret == "":
		e.wrong("keys", "there is no access key, and SDKs send nothing without", cure)
	case s.credentials.AccessKey == "":
		e.wrong("keys", s.keysFrom+" has a secret without its access key", cure)
	case s.credentials.Secret == "":
		e.wrong("keys", s.keysFrom+" has an access key without its secret", cure)
	case strings.TrimSpace(s.credentials.AccessKey) != s.credentials.AccessKey || strings.TrimSpace(s.credentials.Secret) != s.credentials.Secret:
		e.wrong("keys", "access key or secret of "+s.keysFrom+" begins or ends with a blank", "write them without it")
	default:
		e.well("keys", "access key "+quote(s.credentials.AccessKey)+" is from "+s.keysFrom)
	}
}

// region tells whether there is one.
func (e *examination) region() {
	s := e.settings
	switch {
	case s.region == "":
		e.wrong("region", "no region is set, and most SDKs send nothing without", "export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1")
	case s.regionFrom == "AWS_DEFAULT_REGION":
		e.doubt("region", s.region+" is from AWS_DEFAULT_REGION, which Python, Go and the AWS CLI read, and Java and Node do not", "export AWS_REGION="+s.region)
	case s.regionFrom == "AWS_REGION" && e.o.Getenv("AWS_DEFAULT_REGION") == "":
		e.doubt("region", s.region+" is from AWS_REGION, which Python and version 1 of the AWS CLI do not read", "export AWS_DEFAULT_REGION="+s.region)
	case s.regionFrom == "AWS_REGION" && e.o.Getenv("AWS_DEFAULT_REGION") != s.region:
		e.doubt("region", "AWS_REGION is "+s.region+" and AWS_DEFAULT_REGION is "+e.o.Getenv("AWS_DEFAULT_REGION"), "export AWS_DEFAULT_REGION="+s.region)
	default:
		e.well("region", s.region+" is from "+s.regionFrom)
	}
}

// proxies tells whether requests would go elsewhere.
func (e *examination) proxies() {
	host := e.url.Hostname()
	for _, name := range []string{e.url.Scheme + "_proxy", strings.ToUpper(e.url.Scheme) + "_PROXY", "all_proxy", "ALL_PROXY"} {
		proxy := e.o.Getenv(name)
		if proxy == "" {
			continue
		}
		except := firstOf(e.o.Getenv("no_proxy"), e.o.Getenv("NO_PROXY"))
		if exempt(host, except) {
			e.well("proxy", name+" is set, and NO_PROXY spares "+host)
			return
		}
		e.wrong("proxy", name+" sends requests for "+host+" to a proxy, in Python, the AWS CLI and others", "export NO_PROXY="+strings.TrimPrefix(except+","+host, ","))
		return
	}
}

// exempt reports whether a list of hosts and domains has a host.
func exempt(host, list string) bool {
	for _, x := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' }) {
		x = strings.TrimPrefix(strings.TrimPrefix(x, "*"), ".")
		if x == "" || strings.EqualFold(host, x) || strings.HasSuffix(strings.ToLower(host), "."+strings.ToLower(x)) {
			return true
		}
	}
	return false
}
