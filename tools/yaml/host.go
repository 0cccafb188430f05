//go:build tools

// Package yaml imports Pulumi's YAML language host, so that go.mod lists what building it requires.
package yaml

import _ "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"
