package pipelines

// Parse is Load for a text.
var Parse = parse

// Redone is the pipeline that a plan of a sink is redone with once the file has the present one.
func (s *Sink) Redone(p *Pipeline, present *Sink) (*Pipeline, error) {
	return p.reload(s.recorded.with(&present.recorded), nil)
}
