package rig

import (
	"context"
	"fmt"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Toxic is a network between a program and its store that does harm: toxiproxy, on real TCP.
type Toxic struct {
	// Endpoint to use instead of the store's.
	Endpoint string
	proxy    *toxiproxy.Proxy
}

// StartToxic listens on loopback. The toxics are those of toxiproxy, as JSON. The caller closes it.
func StartToxic(store string, toxics ...string) (*Toxic, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := toxiproxy.NewProxy(server, "store", "127.0.0.1:0", strings.TrimPrefix(store, "http://"))
	for _, t := range toxics {
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(t)); err != nil {
			return nil, fmt.Errorf("toxic %s: %w", t, err)
		}
	}
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("start toxiproxy: %w", err)
	}
	return &Toxic{Endpoint: "http://" + p.Listen, proxy: p}, nil
}

// Harm adds a toxic to all connections, also those that are open. Its JSON has a name.
func (t *Toxic) Harm(toxic string) error {
	_, err := t.proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	return err
}

// Heal takes a toxic away.
func (t *Toxic) Heal(name string) error {
	return t.proxy.Toxics.RemoveToxic(context.Background(), name)
}

// Close cuts all connections.
func (t *Toxic) Close() { t.proxy.Stop() }
