//go:build tools

// Package yaml names the program that the module's requirements are for: Pulumi's YAML language host.
package yaml

import _ "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"
