{{/* Everything that a schema cannot say, reported at once before anything is rendered. */}}
{{- define "ako.checks" -}}
{{- $own := .Values.deployment -}}
{{- $wrong := list -}}
{{- if not $own.akoConfigMap -}}
{{- if not (.Values.AKOSettings).clusterName -}}
{{- $wrong = append $wrong "AKOSettings.clusterName: missing; write a name that is unique on the controller" -}}
{{- end -}}
{{- if not (.Values.ControllerSettings).controllerHost -}}
{{- $wrong = append $wrong "ControllerSettings.controllerHost: missing; write the name or address of the Avi Controller" -}}
{{- end -}}
{{- if not (.Values.NetworkSettings).vipNetworkList -}}
{{- $wrong = append $wrong "NetworkSettings.vipNetworkList: missing; write the network of the VIPs: [{networkName: ..., cidr: ...}]" -}}
{{- end -}}
{{- end -}}
{{- $given := .Values.avicredentials | default dict -}}
{{- if or $given.username $given.password $given.authtoken -}}
{{- if not $given.username -}}
{{- $wrong = append $wrong "avicredentials.username: missing beside password or authtoken; write it, or none of them to use an existing Secret" -}}
{{- end -}}
{{- if not (or $given.password $given.authtoken) -}}
{{- $wrong = append $wrong "avicredentials.password: missing beside username; write it or authtoken, or none of them to use an existing Secret" -}}
{{- end -}}
{{- else if $given.certificateAuthorityData -}}
{{- $wrong = append $wrong "avicredentials.certificateAuthorityData: given alone; put it into the existing Secret, or write username and password too" -}}
{{- end -}}
{{- $ways := list -}}
{{- if $own.redis.secret }}{{ $ways = append $ways "deployment.redis.secret" }}{{ end -}}
{{- if (.Values.pipeline).redisURL }}{{ $ways = append $ways "pipeline.redisURL" }}{{ end -}}
{{- if $own.redis.trial.enabled }}{{ $ways = append $ways "deployment.redis.trial.enabled" }}{{ end -}}
{{- if eq (len $ways) 0 -}}
{{- $wrong = append $wrong "deployment.redis.secret: no Redis is named; write the name of a Secret with the key url, or pipeline.redisURL, or for a trial deployment.redis.trial.enabled=true" -}}
{{- else if gt (len $ways) 1 -}}
{{- $wrong = append $wrong (printf "%s: only one of these can say where Redis is; keep one" (join ", " $ways)) -}}
{{- end -}}
{{- if and $own.worker.keda.enabled (not $own.worker.keda.prometheusURL) -}}
{{- $wrong = append $wrong "deployment.worker.keda.prometheusURL: missing; write the address of the Prometheus that scrapes the workers" -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n%s\n" (join "\n" $wrong)) -}}
{{- end -}}
{{- end -}}
