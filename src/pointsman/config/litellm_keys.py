"""Keys that LiteLLM's files may have and Pointsman reads over: named in a warning, not refused.

A key outside these lists is refused if it looks like a misspelt one, else it too is only named: LiteLLM
hands unknown parameters on to the provider, so a working file may hold any.
"""

# ruff: noqa: SIM905 - a list of words is read more easily without quotes

from __future__ import annotations

from typing import Final

SECTIONS: Final = frozenset(
    "agent_list assistant_settings callback_settings credential_list environment_variables files_settings "
    "finetune_settings general_settings guardrails include litellm_settings mcp_aliases mcp_servers mcp_tools "
    "model_group_alias policies policy_attachments prompts router_settings search_tools "
    "vector_store_registry".split()
)

MODES_NOT_SERVED: Final = frozenset(
    "audio_speech audio_transcription batch embedding image_edit image_generation moderation moderations ocr "
    "realtime rerank responses search vector_store video_generation".split()
)

DEPLOYMENT: Final = frozenset("access_groups blocked model_id order tpm rpm weight".split())

PARAMS: Final = frozenset(
    """
    additional_drop_params allow_client_keepalive_override allowed_fails allowed_fails_policy allowed_openai_params
    api_type api_version audio azure_ad_token azure_password azure_scope azure_username bucket_name
    budget_duration cache cache_control_injection_points caching client_id client_secret
    configurable_clientside_auth_params context_window_fallbacks cooldown_time default_api_key_rpm_limit
    default_api_key_tpm_limit default_headers deployment_id dimensions drop_params dummy_client_request
    enable_json_schema_validation encoding_format extra_body extra_headers fallbacks force_timeout frequency_penalty
    function_call functions gcs_bucket_name guardrails headers hf_model_name id input_cost_per_second itpm
    keepalive_seconds litellm_credential_name litellm_system_prompt logit_bias logprobs max_budget
    max_completion_tokens max_file_size_mb max_retries max_tokens merge_reasoning_content_in_choices metadata
    min_p mock_response mock_timeout mock_tool_calls modalities model_info modify_params n num_ctx num_retries
    order organization otpm output_cost_per_second parallel_tool_calls prediction presence_penalty project
    prompt_id prompt_variables provider_affinity_header provider_specific_header reasoning_effort region_name
    repetition_penalty request_timeout response_format retry_policy roles safety_identifier safety_settings
    seed service_tier ssl_certificate ssl_verify stop stop_sequences store stream stream_options
    supports_system_message tag_regex tags temperature tenant_id text_completion thinking tool_choice tools
    top_k top_logprobs top_p use_chat_completions_api use_in_pass_through use_litellm_proxy user verbosity
    vertex_credentials vertex_location vertex_project watsonx_region_name web_search_options weight
    """.split()
)

INFO: Final = frozenset(
    """
    access_groups access_via_team_ids allow_fail_open base_model blocked created_at created_by db_model
    default_temperature deprecation_date description discoverable display_name enable_tag_filtering
    health_check_max_tokens health_check_model health_check_timeout health_check_voice key litellm_provider
    max_audio_length_hours max_images_per_prompt max_pdf_size_mb max_query_tokens max_video_length metadata
    output_vector_size regional_processing_uplift_multiplier_eu rpm search_context_cost_per_query source
    supported_endpoints supported_environments supported_modalities supported_openai_params
    supported_output_modalities supported_reasoning_efforts supported_regions supported_resolutions
    supports_assistant_prefill supports_audio_output supports_computer_use supports_embedding_image_input
    supports_image_input supports_image_size supports_native_streaming supports_native_structured_output
    supports_none_reasoning_effort supports_output_config supports_parallel_function_calling supports_pdf_input
    supports_prompt_caching supports_reasoning supports_system_messages supports_tool_choice
    supports_url_context supports_video_input supports_web_search supports_xhigh_reasoning_effort team_id
    team_public_model_name tier tiered_pricing tool_use_system_prompt_tokens tpm updated_at updated_by version
    """.split()
)

FAMILIES: Final = (
    "auto_router_",
    "aws_",
    "cache_creation_",
    "cache_read_",
    "citation_cost_",
    "code_interpreter_cost_",
    "complexity_router_",
    "cost_per_",
    "file_search_cost_",
    "input_cost_per_",
    "litellm_",
    "mcp_",
    "ocr_cost_",
    "output_cost_per_",
    "s3_",
    "vector_store_cost_",
    "vertex_",
)
"""Beginnings shared by many keys. `input_cost_per_tokn` begins so as well: a near miss of a key that is
used goes before these."""
