package rig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Proxy stands between a program and its store. Requests are read to their ends before the judge is
// asked, and answers before they are passed on, so that a request is applied or it is not.
type Proxy struct {
	// Endpoint to use instead of the store's.
	Endpoint string
	store    *url.URL
	judge    Judge
	server   *http.Server
	serving  sync.WaitGroup
	client   http.Transport
}

// StartProxy listens on loopback. The caller closes the proxy.
func StartProxy(store string, judge Judge) (*Proxy, error) {
	u, err := url.Parse(store)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Endpoint: "http://" + l.Addr().String(), store: u, judge: judge}
	p.client.DisableCompression = true
	p.client.MaxIdleConnsPerHost = 16
	p.server = &http.Server{Handler: p}
	p.serving.Go(func() { _ = p.server.Serve(l) })
	return p, nil
}

// Close cuts all connections.
func (p *Proxy) Close() error {
	err := p.server.Close()
	p.serving.Wait()
	p.client.CloseIdleConnections()
	return err
}

// ServeHTTP passes a request on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		cut(w)
		return
	}
	op := opOf(r)
	if err := p.judge(op); err != nil {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "<Error><Code>SlowDown</Code><Message>%v</Message></Error>", err)
		return
	}
	// The request may outlive the program that sent it, as on a slow network.
	out, err := http.NewRequest(r.Method, p.store.String()+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		cut(w)
		return
	}
	out.Header, out.Host, out.ContentLength = r.Header.Clone(), r.Host, int64(len(body))
	out.Header.Del("Connection")
	answer, err := p.client.RoundTrip(out)
	if err != nil {
		cut(w)
		return
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	op.After = true
	if err := errors.Join(err, p.judge(op)); err != nil {
		cut(w)
		return
	}
	for k, v := range answer.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(content) // the program may be gone
}

// opOf names a request; keys come behind the bucket.
func opOf(r *http.Request) Op {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	op := Op{What: r.Method, Name: key}
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		op.What = "begin"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		op.What = "complete"
	case r.Method == http.MethodPut && q.Has("partNumber"):
		op.What = "part"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		op.What = "abort"
	}
	return op
}

// cut ends a connection without an answer.
func cut(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			c.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}
