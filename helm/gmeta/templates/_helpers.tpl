{{/* Name of the chart's objects: at most 52 characters, so that suffixes still fit a label value. */}}
{{- define "gmeta.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "gmeta.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "gmeta.labels" -}}
{{ include "gmeta.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: gmeta
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "gmeta.serviceAccountName" -}}
{{- default (ternary (include "gmeta.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* An image reference; takes a dict of `image` (repository, tag, digest) and `root`. */}}
{{- define "gmeta.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .root.Chart.AppVersion .image.tag }}
{{- end -}}
{{- end -}}

{{/* What the operator may do in the namespaces whose jobs it runs: no secrets, no exec. */}}
{{- define "gmeta.jobRules" -}}
- apiGroups: [gmeta.dev]
  resources: [metatrainingjobs]
  verbs: [get, list, watch, delete]  # delete: where runPolicy.ttlSecondsAfterFinished is over
- apiGroups: [gmeta.dev]
  resources: [metatrainingjobs/status]
  verbs: [patch]
- apiGroups: [gmeta.dev]
  resources: [metatrainingjobs/finalizers]  # owner references with blockOwnerDeletion, where admission checks them
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, create, patch, delete]  # patch: to tell a coordinator that the manifest has changed
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [create, patch]  # what a server-side apply takes; the garbage collector deletes them with their job
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- range .Values.gangSchedulers }}
- apiGroups: [{{ ternary "scheduling.volcano.sh" "scheduling.x-k8s.io" (eq . "volcano") }}]
  resources: [podgroups]
  verbs: [create, patch, delete]  # a job that is suspended or has ended gives up its place in the queue
{{- end }}
{{- end -}}
